"""PenPal's themes: ink on paper, paper on ink, and both at full contrast. Meaning never hangs on a colour alone."""

from __future__ import annotations

from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="penpal-dark",
    dark=True,
    primary="#e0a15e",
    secondary="#e0a15e",
    accent="#e0a15e",
    warning="#e0a15e",
    error="#e8806f",
    success="#e0a15e",
    foreground="#e8e3da",
    background="#191816",
    surface="#191816",
    panel="#23211e",
    variables={
        "dim": "#979083",
        "line": "#45413a",
        "footer-background": "#191816",
        "footer-description-foreground": "#979083",
        "footer-key-foreground": "#e0a15e",
        "block-cursor-background": "#e0a15e",
        "block-cursor-foreground": "#191816",
        "input-selection-background": "#e0a15e 30%",
        "scrollbar": "#45413a",
        "scrollbar-background": "#191816",
        "scrollbar-background-hover": "#191816",
        "scrollbar-background-active": "#191816",
        "scrollbar-corner-color": "#191816",
    },
)

LIGHT = Theme(
    name="penpal-light",
    dark=False,
    primary="#9c4a15",
    secondary="#9c4a15",
    accent="#9c4a15",
    warning="#9c4a15",
    error="#a8291a",
    success="#9c4a15",
    foreground="#2b2824",
    background="#fbf8f2",
    surface="#fbf8f2",
    panel="#f0eadf",
    variables={
        "dim": "#736b5f",
        "line": "#cfc6b6",
        "footer-background": "#fbf8f2",
        "footer-description-foreground": "#736b5f",
        "footer-key-foreground": "#9c4a15",
        "block-cursor-background": "#9c4a15",
        "block-cursor-foreground": "#fbf8f2",
        "input-selection-background": "#9c4a15 25%",
        "scrollbar": "#cfc6b6",
        "scrollbar-background": "#fbf8f2",
        "scrollbar-background-hover": "#fbf8f2",
        "scrollbar-background-active": "#fbf8f2",
        "scrollbar-corner-color": "#fbf8f2",
    },
)

CONTRAST = Theme(
    name="penpal-contrast",
    dark=True,
    primary="#ffff00",
    secondary="#ffff00",
    accent="#ffff00",
    warning="#ffff00",
    error="#ff9c9c",
    success="#ffff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#262626",
    variables={
        "dim": "#e0e0e0",
        "line": "#ffffff",
        "footer-background": "#000000",
        "footer-description-foreground": "#ffffff",
        "footer-key-foreground": "#ffff00",
        "block-cursor-background": "#ffff00",
        "block-cursor-foreground": "#000000",
        "input-selection-background": "#0050d0",
        "scrollbar": "#ffffff",
        "scrollbar-background": "#000000",
        "scrollbar-background-hover": "#000000",
        "scrollbar-background-active": "#000000",
        "scrollbar-corner-color": "#000000",
    },
)

THEMES = (DARK, LIGHT, CONTRAST)


def own_variables(theme: Theme) -> dict[str, str]:
    """The colours that PenPal's style sheets add to a theme: asides and frames, between its paper and its ink."""
    colors = theme.to_color_system().generate()
    paper, ink = Color.parse(colors["background"]), Color.parse(colors["foreground"])
    return {"dim": paper.blend(ink, 0.62).hex, "line": paper.blend(ink, 0.28).hex}
