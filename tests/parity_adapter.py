"""Adapter between the network and a parity checker: plain arrays and dictionaries in, plain arrays out."""

import json
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vgslam.network.aggregator import Aggregator, Chunks
from vgslam.network.config import (
    VGGT_1B,
    AggregatorConfig,
    CameraHeadConfig,
    DptConfig,
    EncoderConfig,
    TrackHeadConfig,
    VggtConfig,
)
from vgslam.network.layers import LayerNorm
from vgslam.network.pose_encoding import decode_intrinsics, decode_pose, encode_pose
from vgslam.network.preprocess import ResizeMode
from vgslam.network.preprocess import preprocess as network_input
from vgslam.network.vggt import PUBLISHED_HEADS, Vggt, skeleton
from vgslam_train.data.truth import unproject


def full_state_dict_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of VGGT-1B, without any memory."""
    return {key: tuple(value.shape) for key, value in skeleton(VGGT_1B).state_dict().items()}


def config_from_kit(kit: dict[str, Any]) -> VggtConfig:
    """The kit's description of a model as our configuration."""
    enc, agg, cam, dpt, track = (kit[k] for k in ("dinov2", "aggregator", "camera_head", "dpt", "track_head"))
    extractor = track["feature_extractor"]
    channels, layers = tuple(dpt["out_channels"]), tuple(dpt["intermediate_layer_idx"])
    dense = DptConfig(dpt["features"], channels, layers, dpt["head_hidden"])
    return VggtConfig(
        image_size=kit["img_size"], patch_size=kit["patch_size"], width=kit["embed_dim"],
        n_registers=kit["num_register_tokens"],
        encoder=EncoderConfig(
            enc["depth"], enc["num_heads"], enc["pos_embed_grid"][0], enc["mlp_ratio"], enc["layer_scale_init"]
        ),
        aggregator=AggregatorConfig(
            agg["depth"], agg["num_heads"], agg["aa_block_size"], agg["mlp_ratio"], float(agg["rope_freq"]),
            agg["init_values"],
        ),
        camera=CameraHeadConfig(
            cam["trunk_depth"], cam["num_heads"], cam["num_iterations"], cam["mlp_ratio"], cam["init_values"]
        ),
        depth=dense, points=dense,
        track=TrackHeadConfig(
            track["features"], tuple(extractor["out_channels"]), tuple(extractor["intermediate_layer_idx"]),
            track["stride"], track["iters"], track["corr_levels"], track["corr_radius"], track["hidden_size"],
            track["num_heads"], track["depth"], track["num_virtual_tracks"], float(track["max_scale"]),
            track["mlp_ratio"],
        ),
    )  # fmt: skip


def load_kit_model(kit: dict[str, Any], weights_path: str) -> Vggt:
    model = skeleton(config_from_kit(kit))
    model.load_state_dict(load_file(weights_path), strict=True, assign=True)
    return model.eval()


def _watch(model: Vggt, seen: dict[str, Tensor]) -> list[Any]:
    """Records intermediate results under the kit's names."""

    def record(name: str, module: nn.Module) -> Any:
        return module.register_forward_hook(lambda _m, _i, out: seen.__setitem__(f"debug/{name}", out.detach().clone()))

    aggregator, depth = model.aggregator, model.depth_head
    assert depth is not None
    assert model.point_head is not None
    assert model.camera_head is not None
    return [
        record("dino_patch_tokens", aggregator.patch_embed.norm),
        record("camera_tokens_normed", model.camera_head.token_norm),
        record("depth_dpt_fused", depth.scratch.output_conv1),
        record("depth_logits", depth.scratch.output_conv2),
        record("point_logits", model.point_head.scratch.output_conv2),
        record("depth_dpt_level0", depth.resize_layers[0]),
        record("depth_dpt_level1", depth.resize_layers[1]),
        record("depth_dpt_level3", depth.resize_layers[3]),
    ]


def run(kit: dict[str, Any], weights_path: str, images: np.ndarray, query_points: np.ndarray) -> dict[str, Any]:
    """images (S,3,H,W) float32 in [0,1], query_points (N,2): every golden output that the network has."""
    model = load_kit_model(kit, weights_path)
    seen: dict[str, Tensor] = {}
    _watch(model, seen)
    x, queries = torch.from_numpy(images)[None], torch.from_numpy(query_points)
    with torch.no_grad():
        everything = model.aggregator(x, range(model.config.aggregator.depth), chunks=Chunks(tokens=10**6))
        out = model(x, PUBLISHED_HEADS, queries, chunks=Chunks(tokens=10**6, dpt_frames=8))
        size = (images.shape[-2], images.shape[-1])
        encoding = out.pose_encoding
        T_cam_world, K = decode_pose(encoding), decode_intrinsics(encoding, size)
        world = unproject(out.depth.double(), T_cam_world.double(), K.double())
        aggregator: Aggregator = model.aggregator
        seen["debug/dino_tokens_in"] = aggregator.patch_embed.embed(x[0])
        seen["debug/agg_tokens_in"] = aggregator.assemble(aggregator.encode_patches(x, Chunks()))[0]
        plain = LayerNorm(1).requires_grad_(False)
        plain.forward = lambda x: x  # type: ignore[method-assign]
        seen["debug/track_fmaps"] = model.track_head.feature_extractor.features(everything, 8, plain)
    layers = [everything.layers[i] for i in sorted(everything.layers)]
    return seen | {
        "aggregated_tokens": torch.stack(layers), "pose_enc": encoding,
        "pose_enc_list": torch.stack(out.pose_encodings), "extrinsic": T_cam_world[..., :3, :], "intrinsic": K,
        "pose_enc_roundtrip": encode_pose(T_cam_world, K, size), "depth": out.depth[..., None],
        "depth_conf": out.depth_confidence, "world_points": out.points, "world_points_conf": out.points_confidence,
        "world_points_from_depth": world, "track": out.tracks.positions[-1],
        "track_list": torch.stack(out.tracks.positions), "vis": out.tracks.visibility, "conf": out.tracks.confidence,
    }  # fmt: skip


def read_kit(path: str) -> dict[str, Any]:
    with open(path) as file:
        kit: dict[str, Any] = json.load(file)
    return kit


def preprocess(images: list[np.ndarray], mode: str) -> np.ndarray:
    return network_input(images, ResizeMode(mode)).images
