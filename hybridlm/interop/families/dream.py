"""Dream (Ye et al. 2025, 2508.15487): Qwen 2 without a causal mask, trained to unmask the token after each position."""

from hybridlm.config.objective import masked_diffusion
from hybridlm.interop.architecture import Architecture
from hybridlm.interop.families import llama, qwen

DREAM = Architecture(
    "DreamModel", llama.TABLE, qwen.read_2, None, masked_diffusion(predicts="next"), window=qwen.window
)
