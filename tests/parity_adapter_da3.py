"""Adapter between Depth-Anything-3 and a parity checker: plain arrays and dictionaries in, plain arrays out."""

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vgslam.geometry.robust_similarity import umeyama
from vgslam.network.config import DptConfig
from vgslam.network.da3.backbone import decode_cameras, encode_cameras, normalise
from vgslam.network.da3.config import ARCHITECTURES, Da3Config
from vgslam.network.da3.loading import PREFIX, own_names
from vgslam.network.da3.network import HEADS, Da3, skeleton
from vgslam.network.da3.preprocess import Da3Resize
from vgslam.network.da3.preprocess import preprocess as network_input
from vgslam.network.da3.ray_cameras import cameras_from_rays
from vgslam.network.da3.transformer import ReferenceChoice, choose_reference, resized_position


def shapes(model_name: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a published network, aliases included, without any memory."""
    state = skeleton(ARCHITECTURES[model_name]).state_dict()
    return {PREFIX + key: tuple(value.shape) for key, value in state.items()}


def config_from_kit(kit: dict[str, Any]) -> Da3Config:
    """The kit's description of a model as our configuration."""
    head, encoder = kit["head"], kit["camera_encoder"]
    dense = DptConfig(head["features"], tuple(head["out_channels"]), tuple(kit["out_layers"]), head["hidden"])
    return Da3Config(
        kit["name"], kit["width"], kit["depth"], kit["n_heads"], kit["alt_start"], dense, encoder["depth"],
        encoder["n_heads"], kit["patch_size"], kit["grid"], kit["mlp_ratio"], kit["rope_base"],
    )  # fmt: skip


def load_kit_model(kit: dict[str, Any], weights_path: str) -> Da3:
    model = skeleton(config_from_kit(kit))
    model.load_state_dict(own_names(load_file(weights_path), weights_path, model), strict=True, assign=True)
    return model.eval()


def _watch(model: Da3, seen: dict[str, Tensor]) -> None:
    """Records intermediate results under the kit's names."""

    def record(name: str, module: nn.Module) -> None:
        module.register_forward_hook(lambda _m, _i, out: seen.__setitem__(name, out.detach().clone()))

    head = model.head
    for i in range(model.config.depth):
        block = model.transformer.blocks[i]
        block.register_forward_hook(
            lambda _m, _i, out, i=i: seen.__setitem__(f"debug/block{i}", out.detach().reshape(-1, *out.shape[-2:]))
        )
    for i in (0, 1, 3):
        record(f"debug/dpt_level{i}", head.resize_layers[i])
    record("depth_logits", head.scratch.output_conv2)
    record("debug/depth_fused", head.scratch.output_conv1)
    record("debug/ray_fused", head.scratch.output_conv1_aux[-1])
    if model.cam_enc is not None:
        record("camera_tokens", model.cam_enc)
    head.projects[2].register_forward_hook(
        lambda _m, _i, out: seen.__setitem__("debug/dpt_project2", out.detach().clone())
    )


def run(
    kit: dict[str, Any], weights_path: str, images: np.ndarray, extrinsics: np.ndarray | None,
    intrinsics: np.ndarray | None, strategy: str,
) -> dict[str, Any]:  # fmt: skip
    """images (S,3,H,W) float32 in [0,1]: every golden output. Recorded without and computed once more in inference, in
    place: the two must agree, or the second is returned."""
    model = load_kit_model(kit, weights_path)
    x, size = torch.from_numpy(images)[None], (images.shape[-2], images.shape[-1])
    encoding, out = None, {}
    if extrinsics is not None and intrinsics is not None:
        given = normalise(torch.from_numpy(extrinsics))
        encoding = encode_cameras(given.T_cam_first, torch.from_numpy(intrinsics), size)[None].float()
        out["extrinsics_normalised"] = given.T_cam_first
    choice = ReferenceChoice(strategy)
    seen: dict[str, Tensor] = {}
    _watch(model, seen)
    with torch.enable_grad():
        model(x, HEADS, encoding, choice, rays=True)
    with torch.inference_mode():
        encoded = model.encode(x, HEADS, encoding, choice)
        found = model.decode(encoded, HEADS, rays=True)
        tokens_in = model.transformer.embed(x[0])
    assert found.pose_encoding is not None
    T_cam_world, K = decode_cameras(found.pose_encoding[0], size)
    features = {f"features{i}": encoded.patches(j)[0] for i, j in enumerate(model.config.dense.layers)}
    logits = {k: v[0] if k == "camera_tokens" else v for k, v in seen.items()}
    return out | logits | features | {
        "tokens_in": tokens_in, "ref_index": encoded.reference, "camera_features": encoded.special[0, :, 0],
        "camera_tokens": logits.get("camera_tokens", model.transformer._camera_tokens(1, len(images))[0].detach()),
        "pose_enc": found.pose_encoding[0], "extrinsics": T_cam_world[:, :3], "intrinsics": K,
        "depth": found.depth[0], "depth_conf": found.depth_confidence[0], "ray": found.rays[0],
        "ray_conf": found.ray_confidence[0],
    }  # fmt: skip


def unit(kind: str, inputs: dict[str, np.ndarray], params: dict[str, Any]) -> dict[str, Any] | None:
    """One function of the network by its name in the kit."""
    size = (params.get("height", 0), params.get("width", 0))
    tensors = {k: torch.from_numpy(np.asarray(v)) for k, v in inputs.items()}
    if kind == "select_reference":
        return {"ref_index": choose_reference(tensors["class_tokens"][None], ReferenceChoice(params["strategy"]))}
    if kind == "position_embedding":
        pos_embed = tensors["pos_embed"]
        grid = round((pos_embed.shape[1] - 1) ** 0.5)
        return {"position": resized_position(pos_embed, grid, params["rows"], params["cols"])}
    if kind == "decode_cameras":
        T, K = decode_cameras(tensors["pose_enc"], size)
        return {"extrinsics": T[:, :3], "intrinsics": K}
    if kind == "encode_cameras":
        given = normalise(tensors["extrinsics"])
        encoding = encode_cameras(given.T_cam_first, tensors["intrinsics"], size)
        return {"extrinsics_normalised": given.T_cam_first, "pose_enc": encoding}
    if kind == "cameras_from_rays":
        found = cameras_from_rays(inputs["ray"], inputs["ray_conf"], size, inputs["samples"], is_ql=True)
        return {"extrinsics": found.T_cam_world[:, :3], "intrinsics": found.K}
    return _align(inputs["predicted"], inputs["given"]) if kind == "align" else None


def _align(predicted: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    """Given cameras in the world of the predicted ones, by the similarity of their centres."""
    R, t = given[:, :3, :3].astype(np.float64), given[:, :3, 3].astype(np.float64)
    centres = [
        -np.einsum("nji,nj->ni", T[:, :3, :3].astype(np.float64), T[:, :3, 3].astype(np.float64))
        for T in (predicted, given)
    ]
    S = umeyama(*centres)
    moved = np.tile(np.eye(4), (len(given), 1, 1))
    moved[:, :3, :3] = R @ S.R.T
    moved[:, :3, 3] = S.s * t - np.einsum("nij,j->ni", moved[:, :3, :3], S.t)
    return {"scale": np.array([S.s]), "given_in_predicted_world": moved}


def preprocess(images: list[np.ndarray], size_px: int, method: str, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Network images and the intrinsics (N,3,3) that belong to them."""
    prepared = network_input(images, size_px, Da3Resize(method))
    out = np.array(K, np.float64)
    for k, m in zip(out, prepared.maps, strict=True):
        k[:2] *= np.array(m.scale)[:, None]
        k[:2, 2] += np.array(m.offset)
    return prepared.images, out
