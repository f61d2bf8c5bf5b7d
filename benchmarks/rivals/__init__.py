"""What a user would pick instead of PenPal, each behind one interface (`benchmarks.rivals.method`)."""

import models.backbone  # noqa: F401 (before transformers: it keeps that off the network, and its bars off the screen)
