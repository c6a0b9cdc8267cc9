#pragma once
// Opens files of model folders, which often stand for a file that was not fetched.

#include <string>

#include "runtime/base/input_file.h"

namespace trireme::hf {

/// Whether there is anything of that name, also a link to nothing: that is an error to tell, not a file that lacks.
bool is_there(const std::string& path);

/// Errors  Error(data) that calls a link to nothing what it is. Anything else passes.
void refuse_broken_link(const std::string& path);

/// Errors  Error(data): those of InputFile; a link to nothing and the pointer that git-lfs leaves for a file are called
///         that, with what to do.
InputFile open_file(const std::string& path);

}  // namespace trireme::hf
