"""Token scores from the output of other engines: one small pure function each, from their JSON or arrays to columns.

| engine | function | gives |
|---|---|---|
| vLLM, `prompt_logprobs` | `vllm.score` | score, rank, correct, confidence |
| OpenAI-style completions with `echo` | `completions.score` | score, correct, confidence |
| transformers, logits | `transformers.score` | score, entropy, rank, correct, confidence |
| lm-evaluation-harness, `--log_samples` | `lm_eval.score` | score of each continuation as a whole |

Each returns a `Scored` document; `scored.columns` joins them into what `token_writer.write` takes. Spans are bytes and
never guessed: what does not spell the document is refused. None of the engines is imported.
"""
