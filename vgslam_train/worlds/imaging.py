"""The effects of a real camera on ideal images: exposure, white balance, vignetting, blur, noise."""

from dataclasses import dataclass

import numpy as np
import torch

from vgslam.geometry.camera import Camera
from vgslam_train.worlds.trajectories import sway


@dataclass(frozen=True)
class Imaging:
    """One camera's faults over a sequence of N frames."""

    exposure: np.ndarray
    """(N,): factor on brightness."""
    white_balance: np.ndarray
    """(N,3): factors on red, green, blue."""
    vignetting: float = 0.0
    """Darkening at the image corner, 0..1."""
    blur_px: float = 0.0
    """Standard deviation of the lens blur."""
    noise: tuple[float, float] = (0.0, 0.0)
    """Standard deviation of grey-level noise at full brightness and at black, (shot, read), as shares of full scale."""
    gamma: float = 1.0
    """Exponent on brightness."""

    @staticmethod
    def draw(n_frames: int, rate_hz: float, seed: int, strength: float = 1.0) -> "Imaging":
        """Random faults; strength 0 is an ideal camera, 1 a plain phone or webcam."""
        rng = np.random.default_rng([seed, 77])
        drift = [sway(n_frames, rate_hz, rng, 0.05, 0.4) for _ in range(4)]
        level = rng.normal(0, 0.12)
        tone = rng.normal(0, 0.05, 3)
        return Imaging(
            exposure=np.exp(strength * (level + 0.06 * drift[0])),
            white_balance=np.exp(strength * (tone + 0.012 * np.stack(drift[1:], -1))),
            vignetting=strength * rng.uniform(0, 0.35),
            blur_px=strength * max(0.0, rng.uniform(-0.3, 0.8)),
            noise=(strength * rng.uniform(0, 0.015), strength * rng.uniform(0, 0.012)),
            gamma=float(np.exp(strength * rng.normal(0, 0.12))),
        )

    def apply(self, images: torch.Tensor, camera: Camera, seed: int) -> torch.Tensor:
        """images (N,H,W,3) float in 0..1 -> the same shape and range, on the same device.

        The noise is drawn on that device: it repeats with the seed on one kind of device, not across kinds.
        """
        out = images.clamp(0, 1) ** self.gamma if self.gamma != 1.0 else images
        gain = torch.from_numpy(self.exposure[:, None] * self.white_balance).to(out)
        out = out * gain[:, None, None, :]
        if self.vignetting > 0:
            out = out * self._falloff(camera).to(out)[None, :, :, None]
        if self.blur_px > 0:
            out = blur(out, self.blur_px)
        if any(self.noise):
            generator = torch.Generator(device=out.device).manual_seed(seed)
            grain = torch.randn(out.shape, generator=generator, device=out.device, dtype=out.dtype)
            deviation = (self.noise[0] ** 2 * out.clamp(min=0) + self.noise[1] ** 2).sqrt()
            out = out + grain * deviation
        return out.clamp(0.0, 1.0)

    def _falloff(self, camera: Camera) -> torch.Tensor:
        """Factor (H,W), 1 at the principal point and 1 - vignetting in the corner, falling with the squared radius."""
        x = (torch.arange(camera.width) - camera.cx) / (0.5 * camera.width)
        y = (torch.arange(camera.height) - camera.cy) / (0.5 * camera.height)
        return (1.0 - 0.5 * self.vignetting * (x[None, :] ** 2 + y[:, None] ** 2)).clamp(min=0.0)


def blur(images: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Gaussian blur of images (N,H,W,C), edges repeated."""
    reach = max(1, int(np.ceil(3 * sigma_px)))
    offset = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    x = images.permute(0, 3, 1, 2)
    n, c, height, width = x.shape
    x = x.reshape(n * c, 1, height, width)
    x = torch.nn.functional.pad(x, (reach, reach, reach, reach), mode="replicate")
    x = torch.nn.functional.conv2d(x, kernel.view(1, 1, 1, -1))
    x = torch.nn.functional.conv2d(x, kernel.view(1, 1, -1, 1))
    return x.view(n, c, height, width).permute(0, 2, 3, 1)
