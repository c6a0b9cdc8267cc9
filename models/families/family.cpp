#include "models/families/family.h"

namespace trireme {

const FamilyRules& rules_of(Family family) {
  switch (family) {
    case Family::gpt2: return gpt2_rules;
    case Family::llama: return llama_rules;
    case Family::qwen2: return qwen2_rules;
    case Family::qwen3: return qwen3_rules;
    case Family::mistral: return mistral_rules;
  }
  return llama_rules;
}

}  // namespace trireme
