#pragma once
// Matrix products in the tiles order on AMX's tile registers.

#include "runtime/kernels/cpu/matmul/matmul_tile.h"

namespace trireme::cpu {

/// matmul() of a bf16 product in the tiles order. Call only where active_isa() is amx.
void matmul_amx(const Matmul& k);
Bytes matmul_amx_workspace_bytes(Elems m, Elems n, Elems k, int threads);

/// Rows of a packed panel, and k of one block of it: two tiles of 16 rows of 64 bytes.
inline constexpr Elems amx_panel_rows = 32, amx_block_k = 32;

/// Elements of a packed panel, with K padded to whole blocks.
constexpr Elems amx_panel_elems(Elems depth) { return amx_panel_rows * align_up(depth, amx_block_k); }

/// Packs `rows` rows of a, or columns of b, a multiple of 32: panel by panel, each block by block of k. What p has not
/// becomes zero. Of a block, tile t holds rows 16 t ... of a as [16][32 k]; or columns 16 t ... of b as [16 pairs of
/// k][16].
void pack_amx_a(const Panel<bf16>& p, Elems rows, bf16* packed);
void pack_amx_b(const Panel<bf16>& p, Elems rows, bf16* packed);

}  // namespace trireme::cpu
