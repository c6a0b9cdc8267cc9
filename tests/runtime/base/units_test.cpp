#include "runtime/base/units.h"

#include <catch2/catch.hpp>

#include "runtime/base/error.h"

using namespace trireme;

TEST_CASE("parse_bytes: sizes with units, and nothing else") {
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("0") == 0);
  CHECK(parse_bytes("12B") == 12);
  CHECK(parse_bytes("1.5GiB") == 3 * GiB / 2);
  CHECK(parse_bytes("80 GiB") == 80 * GiB);
  CHECK(parse_bytes("2TiB") == 2048 * GiB);
  for (const char* bad : {"", "GiB", "12 GB", "-1KiB", "1e30GiB", "4096x", "nan", "inf"})
    CHECK_THROWS_AS(parse_bytes(bad), Error);
}

TEST_CASE("format_bytes: for people") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.50 KiB");
  CHECK(format_bytes(3 * MiB / 2) == "1.50 MiB");
  CHECK(format_bytes(80 * GiB) == "80.00 GiB");
}

TEST_CASE("ceil_div and align_up: the smallest that holds") {
  CHECK(ceil_div(0, 7) == 0);
  CHECK(ceil_div(1, 7) == 1);
  CHECK(ceil_div(7, 7) == 1);
  CHECK(ceil_div(8, 7) == 2);
  CHECK(align_up(0, 1024) == 0);
  CHECK(align_up(1, 1024) == 1024);
  CHECK(align_up(1024, 1024) == 1024);
  CHECK(align_up(1025, 1024) == 2048);
}
