"""Latent DPO against maths worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.encoder import Posterior
from models.latent_dpo import (
    draw_candidates,
    expected_dpo_loss,
    expected_log_ratio,
    kl_to_prior,
    latent_reward,
    log_density,
    sampled_dpo_loss,
    selected,
    standard_normal,
)


def gaussian(mean: list[list[float]], variance: float = 1.0) -> Posterior:
    centre = torch.tensor(mean)
    return Posterior(centre, torch.full_like(centre, math.log(variance)))


def test_log_density_is_that_of_torch() -> None:
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    p = gaussian([[0.5, -1.0, 2.0]], variance=0.3)
    expected = torch.distributions.Normal(p.mean, 0.3**0.5).log_prob(z).sum(-1)
    torch.testing.assert_close(log_density(z, p), expected)


def test_kl_to_the_prior_is_zero_for_the_prior_and_half_the_square_for_a_shift() -> None:
    assert kl_to_prior(standard_normal(4)).item() == 0
    assert kl_to_prior(gaussian([[3.0, 4.0]])).item() == pytest.approx(12.5)
    assert kl_to_prior(gaussian([[0.0]], variance=math.e)).item() == pytest.approx((math.e - 2) / 2)


def test_reward_is_positive_where_the_chosen_response_is_likelier_and_changes_sign_with_the_sides() -> None:
    """1-D, unit variances, means +1 and -1: log q_w(z) - log q_l(z) = 2 z."""
    chosen, rejected = gaussian([[1.0]]), gaussian([[-1.0]])
    z = torch.tensor([[[2.0], [0.0], [-0.5]]])
    torch.testing.assert_close(latent_reward(z, chosen, rejected), torch.tensor([[4.0, 0.0, -1.0]]))
    torch.testing.assert_close(latent_reward(z, rejected, chosen), torch.tensor([[-4.0, 0.0, 1.0]]))


def test_loss_is_log_two_while_the_person_is_still_the_prior() -> None:
    torch.manual_seed(0)
    chosen, rejected = gaussian([[1.0, 0.0], [0.0, 2.0]]), gaussian([[0.0, 1.0], [-1.0, 0.0]])
    z = draw_candidates(chosen, rejected, per_source=8)
    keep = selected(latent_reward(z, chosen, rejected), evidence_ratio=0.5)
    prior = standard_normal(2)
    loss = sampled_dpo_loss(log_density(z, prior) - log_density(z, prior), keep, beta=0.1)
    torch.testing.assert_close(loss, torch.full((2,), math.log(2)))


def test_loss_by_hand_in_one_dimension() -> None:
    """p_u = N(m, 1) against N(0, 1): log ratio = m z - m^2 / 2, so the margin of z_w = 2 over z_l = -1 is 3 m.

    With m = 0.5 and beta = 0.1: -log sigmoid(0.15) = 0.6209; its gradient in m is -0.3 sigmoid(-0.15) = -0.1388.
    """
    mean = torch.tensor([0.5], requires_grad=True)
    z = torch.tensor([[[2.0], [-1.0]]])
    ratio = log_density(z, Posterior(mean, torch.zeros(1))) - log_density(z, standard_normal(1))
    torch.testing.assert_close(ratio, torch.tensor([[0.875, -0.625]]))
    keep = torch.tensor([[[False, True], [False, False]]])
    loss = sampled_dpo_loss(ratio, keep, beta=0.1)
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.15))), abs=1e-6)
    loss.sum().backward()
    assert mean.grad is not None
    assert mean.grad.item() == pytest.approx(-0.3 / (1 + math.exp(0.15)), abs=1e-6)


def test_loss_averages_over_the_kept_pairs_only() -> None:
    ratio = torch.tensor([[3.0, 1.0, 0.0]])
    keep = torch.zeros(1, 3, 3, dtype=torch.bool)
    keep[0, 0, 1] = keep[0, 0, 2] = True
    expected = sum(math.log1p(math.exp(-margin)) for margin in (2.0, 3.0)) / 2
    assert sampled_dpo_loss(ratio, keep, beta=1.0).item() == pytest.approx(expected, abs=1e-6)


def test_a_pair_without_kept_candidates_costs_nothing() -> None:
    assert sampled_dpo_loss(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2, 2, dtype=torch.bool), beta=1.0).item() == 0


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_right_share_of_candidate_pairs_is_kept(ratio: float) -> None:
    """The evidence ratio counts one direction: half of S x S."""
    reward = torch.randn(3, 48, generator=torch.Generator().manual_seed(0))
    keep = selected(reward, evidence_ratio=ratio)
    torch.testing.assert_close(keep.float().mean((1, 2)), torch.full((3,), ratio / 2), atol=0.005, rtol=0)


def test_kept_pairs_are_better_over_worse_with_the_largest_gaps() -> None:
    keep = selected(torch.tensor([[0.0, 1.0, 5.0]]), evidence_ratio=0.4)[0]
    # Of nine ordered pairs a fifth: the two largest gaps, 5 over 0 and 5 over 1.
    assert keep.nonzero().tolist() == [[2, 0], [2, 1]]


def test_equal_rewards_teach_nothing() -> None:
    assert not selected(torch.ones(2, 6), evidence_ratio=1.0).any()


def test_candidates_come_from_the_prior_and_both_posteriors_of_their_own_pair() -> None:
    torch.manual_seed(0)
    chosen, rejected = gaussian([[10.0], [20.0]], 0.01), gaussian([[-10.0], [-20.0]], 0.01)
    z = draw_candidates(chosen, rejected, per_source=500)
    assert z.shape == (2, 1500, 1)
    means = z.view(2, 3, 500).mean(2)
    torch.testing.assert_close(means, torch.tensor([[0.0, 10.0, -10.0], [0.0, 20.0, -20.0]]), atol=0.15, rtol=0)


def test_expected_log_ratio_is_the_mean_over_draws() -> None:
    torch.manual_seed(0)
    q, person = gaussian([[1.0, -2.0]], 0.5), Posterior(torch.tensor([0.5, 0.3]), torch.tensor([0.2, -0.4]))
    z = q.mean + torch.randn(200_000, 2) * 0.5**0.5
    drawn = (log_density(z, person) - log_density(z, standard_normal(2))).mean()
    assert expected_log_ratio(q, person).item() == pytest.approx(drawn.item(), abs=0.01)


def test_expected_loss_is_log_two_while_the_person_is_still_the_prior() -> None:
    loss = expected_dpo_loss(gaussian([[1.0, 0.0]], 0.1), gaussian([[0.0, 3.0]]), standard_normal(2), beta=0.1)
    assert loss.item() == pytest.approx(math.log(2))


def test_expected_loss_by_hand_in_one_dimension() -> None:
    """A shift m alone: the variances cancel and the margin of mean 2 over mean -1 is 3 m, here 1.5 with beta = 0.1."""
    person = Posterior(torch.tensor([0.5]), torch.zeros(1))
    loss = expected_dpo_loss(gaussian([[2.0]], 0.1), gaussian([[-1.0]], 4.0), person, beta=0.1)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.15)), abs=1e-6)
