#pragma once

namespace trireme::test {

/// Catch2's main program: runs what the arguments select; returns what main() returns.
int run_tests(int argc, char** argv);

}  // namespace trireme::test
