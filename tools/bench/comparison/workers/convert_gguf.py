"""Turns a GGUF file into a folder that vLLM reads: bfloat16 weights, config and tokenizer. Runs in vLLM's environment."""

import pathlib
import sys

import torch
import transformers


def main() -> None:
    source, folder = pathlib.Path(sys.argv[1]), sys.argv[2]
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    # Packed weights would stay as they are in the file, and could not be written in another form.
    unpacked = transformers.GgufConfig(gguf_file=source.name, dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        **where, dtype=torch.bfloat16, quantization_config=unpacked)
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


if __name__ == "__main__":
    main()
