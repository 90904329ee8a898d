#pragma once
// The architectures that are known: each reads what its papers say and its metadata give into a spec, in which what all
// have in common has been read already (decoder_spec.cc).

#include "model/spec_reader.h"

namespace headwater::model {

void specify_llama(SpecReader& read, DecoderSpec& spec);
void specify_qwen2(SpecReader& read, DecoderSpec& spec);
void specify_qwen3(SpecReader& read, DecoderSpec& spec);
void specify_gemma2(SpecReader& read, DecoderSpec& spec);
void specify_gemma3(SpecReader& read, DecoderSpec& spec);
void specify_phi3(SpecReader& read, DecoderSpec& spec);
void specify_internlm2(SpecReader& read, DecoderSpec& spec);
void specify_granite(SpecReader& read, DecoderSpec& spec);

}  // namespace headwater::model
