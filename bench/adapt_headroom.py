"""The most that adaptation could gain: training with the truth on the windows that it sees without it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vgslam.adapt.trainer import TrainConfig
    from vgslam.network.vggt import Vggt
    from vgslam_train.data.windows import WindowBatch


@dataclass(frozen=True)
class Lessons:
    """The windows of training with their truth, and how many steps are trained."""

    windows: "WindowBatch"
    n_steps: int


def supervised(model: "Vggt", lessons: Lessons, config: "TrainConfig") -> "Vggt":
    """A copy of the network, trained on the true depth and poses: the same parameters, windows a step, learning
    rate, warm-up and averaging as `Trainer.run_round`, but no safeguard. Its error is about the least that adaptation
    can hope for."""
    import torch

    from vgslam.adapt.losses import LossConfig
    from vgslam.adapt.trainer import Trainer, learning_rate_at
    from vgslam_train.training.losses import LossWeights
    from vgslam_train.training.step import TrainingStep

    trainer, rng = Trainer(model, config, LossConfig()), np.random.default_rng(config.seed)
    step = TrainingStep(trainer.model, LossWeights())
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    average = trainer.state()
    for k in range(lessons.n_steps):
        for group in adam.param_groups:
            group["lr"] = config.learning_rate * learning_rate_at(k, lessons.n_steps)
        i = rng.integers(len(lessons.windows.images), size=config.batch)
        loss, _ = step(type(lessons.windows)(*(x[i] for x in vars(lessons.windows).values())), k)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        adam.step()
        now = trainer.state()
        average = {name: x.lerp(now[name], 1 - config.ema) for name, x in average.items()}
    trainer.set_state(average)
    return trainer.model
