#pragma once
// What config.json of several families says in the same way.

#include <initializer_list>
#include <string>

#include "models/hf/keys.h"

namespace trireme::hf {

/// Adds a rate of dropout that is not 0 to `list`.
void note_dropout(const Keys& keys, const char* key, double otherwise, std::string& list);

/// Errors: Error(config) for an activation that is not among `computed`.
void check_activation(const Keys& keys, const char* key, const char* otherwise,
                      std::initializer_list<const char*> computed);

/// As it is printed, rather than all digits of its double.
double shortest(float value);

}  // namespace trireme::hf
