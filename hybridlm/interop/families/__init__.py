"""The architectures there are tables for, the commonest first: export takes the first that fits."""

from hybridlm.interop.families.bert import BERT
from hybridlm.interop.families.dream import DREAM
from hybridlm.interop.families.gpt2 import GPT_2
from hybridlm.interop.families.llada import LLADA
from hybridlm.interop.families.llama import LLAMA
from hybridlm.interop.families.neox import GPT_NEOX
from hybridlm.interop.families.olmo2 import OLMO_2
from hybridlm.interop.families.qwen import QWEN_2, QWEN_3

ARCHITECTURES = (LLAMA, QWEN_2, QWEN_3, OLMO_2, GPT_2, GPT_NEOX, BERT, LLADA, DREAM)
