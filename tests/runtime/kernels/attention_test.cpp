#include "runtime/kernels/attention.h"

#include <bit>
#include <cstring>

#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_workspace.h"
#include "tests/reference/attention.h"
#include "tests/runtime/kernels/aligned_bytes.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

/// One microbatch; q, k and v are columns of one matrix, as in a model.
struct Case {
  int batch, heads, kv_heads;
  Elems tokens, d;
  DType type;
  ProductOrder order = ProductOrder::chain;
  GuardedTensor qkv, out, log_sum_exp, d_out, d_qkv;

  Case(int b, int h, int kv, Elems t, Elems head_dim, DType element)
      : batch(b), heads(h), kv_heads(kv), tokens(t), d(head_dim), type(element), qkv(element, b * t, (h + 2 * kv) * head_dim),
        out(element, b * t, h * head_dim, 2), log_sum_exp(DType::f32, b * h, t), d_out(element, b * t, h * head_dim),
        d_qkv(element, b * t, (h + 2 * kv) * head_dim, 1) {
    qkv.randomize(11);
    d_out.randomize(12);
  }
  AttentionShape shape() const {
    return {.batch = batch, .heads = heads, .kv_heads = kv_heads, .tokens = tokens, .head_dim = d, .type = type};
  }
  float scale() const { return 1 / std::sqrt(static_cast<float>(d)); }
  template <typename AnyView>
  AnyView q(AnyView x) const { return x.cols_from(0, heads * d); }
  template <typename AnyView>
  AnyView k(AnyView x) const { return x.cols_from(heads * d, kv_heads * d); }
  template <typename AnyView>
  AnyView v(AnyView x) const { return x.cols_from((heads + kv_heads) * d, kv_heads * d); }

  void forward() {
    AlignedBytes workspace(attention_forward_workspace_bytes(shape(), cpu::kernel_threads()));
    const View x = qkv;
    attention_forward({.q = q(x), .k = k(x), .v = v(x), .out = out, .log_sum_exp = log_sum_exp, .batch = batch, .heads = heads,
                       .kv_heads = kv_heads, .scale = scale(), .workspace = workspace.view(), .order = order});
  }
  void backward() {
    AlignedBytes workspace(attention_backward_workspace_bytes(shape(), cpu::kernel_threads()));
    const View x = qkv, dx = d_qkv;
    attention_backward({.q = q(x), .k = k(x), .v = v(x), .out = out, .d_out = d_out, .log_sum_exp = log_sum_exp, .dq = q(dx),
                        .dk = k(dx), .dv = v(dx), .batch = batch, .heads = heads, .kv_heads = kv_heads, .scale = scale(),
                        .workspace = workspace.view(), .order = order});
  }

  reference::Matrix rows(const GuardedTensor& x, int sequence, Elems first_col) const {
    reference::Matrix m;
    for (Elems t = 0; t < tokens; ++t) {
      m.emplace_back();
      for (Elems c = 0; c < d; ++c) m.back().push_back(x.at(sequence * tokens + t, first_col + c));
    }
    return m;
  }
  void compare();
};

using Rows = std::vector<std::vector<reference::Bounded>>;

void require_rows(const reference::Matrix& actual, const Rows& expected, DType type) {
  std::vector<double> values;
  std::vector<reference::Bounded> bounds;
  for (const auto& row : actual) values.insert(values.end(), row.begin(), row.end());
  for (const auto& row : expected) bounds.insert(bounds.end(), row.begin(), row.end());
  reference::require_close(values, bounds, type);
}

void Case::compare() {
  const int group = heads / kv_heads;
  for (int b = 0; b < batch; ++b)
    for (int kv = 0; kv < kv_heads; ++kv) {
      Rows dk, dv;
      for (int h = kv * group; h < (kv + 1) * group; ++h) {
        const reference::AttentionResult r = reference::attention(
            {.q = rows(qkv, b, h * d), .k = rows(qkv, b, (heads + kv) * d), .v = rows(qkv, b, (heads + kv_heads + kv) * d),
             .d_out = rows(d_out, b, h * d), .scale = scale(), .type = type});
        require_rows(rows(out, b, h * d), r.out, type);
        require_rows(rows(d_qkv, b, h * d), r.dq, type);
        if (dk.empty()) {
          dk = r.dk, dv = r.dv;
          continue;
        }
        for (std::size_t t = 0; t < dk.size(); ++t)
          for (std::size_t c = 0; c < dk[t].size(); ++c) {
            dk[t][c].value += r.dk[t][c].value, dk[t][c].error += r.dk[t][c].error;
            dv[t][c].value += r.dv[t][c].value, dv[t][c].error += r.dv[t][c].error;
          }
      }
      require_rows(rows(d_qkv, b, (heads + kv) * d), dk, type);
      require_rows(rows(d_qkv, b, (heads + kv_heads + kv) * d), dv, type);
    }
}

void check(int batch, int heads, int kv_heads, Elems tokens, Elems d, DType type) {
  for (ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) {
    if (type == DType::f32 && order == ProductOrder::tiles) continue;
    CAPTURE(batch, heads, kv_heads, tokens, d, name(type), name(order));
    Case c(batch, heads, kv_heads, tokens, d, type);
    c.order = order;
    run_every_way({&c.out, &c.log_sum_exp}, [&] { c.forward(); });
    run_every_way({&c.d_qkv}, [&] { c.backward(); });
    c.compare();
  }
}

}  // namespace

TEST_CASE("attention: forward and backward equal double precision, the same bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems d : {20, 64}) check(1, 1, 1, 35, d, type);
  check(1, 2, 1, 67, 32, DType::bf16);
}

TEST_CASE("attention: the same at many awkward sizes", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32}) {
    for (Elems d : {1, 2, 15, 16, 20, 30, 32, 48, 64, 80, 96, 128}) check(1, 1, 1, 35, d, type);
    for (Elems tokens : {1, 2, 63, 64, 65, 192, 193}) check(1, 1, 1, tokens, 32, type);
    for (Elems tokens : {17, 193}) check(1, 1, 1, tokens, 20, type);
  }
  check(1, 1, 1, 193, 64, DType::bf16);
}

TEST_CASE("attention: query heads share key heads in groups", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32}) {
    check(1, 7, 1, 67, 32, type);
    check(2, 6, 2, 11, 6, type);
    check(2, 4, 2, 65, 16, type);
    check(3, 4, 4, 7, 10, type);
  }
  check(1, 2, 1, 66, 64, DType::bf16);
}

TEST_CASE("attention: threads that share a key head give the bits of one", "[kernels]") {
  const auto equal_bits = [](DType type, ProductOrder order) {
    CAPTURE(name(type), name(order));
    Case c(1, 2, 1, 1027, 16, type);
    c.order = order;
    REQUIRE_FALSE(cpu::threads_share_heads(c.shape(), 1));
    c.forward();
    c.backward();
    c.compare();
    for (int threads : {2, 4}) {
      REQUIRE(cpu::threads_share_heads(c.shape(), threads));
      Case shared(1, 2, 1, 1027, 16, type);
      shared.order = order;
      cpu::set_kernel_threads(threads);
      shared.forward();
      shared.backward();
      cpu::set_kernel_threads(1);
      CHECK(shared.out.bytes() == c.out.bytes());
      CHECK(shared.log_sum_exp.bytes() == c.log_sum_exp.bytes());
      CHECK(shared.d_qkv.bytes() == c.d_qkv.bytes());
    }
  };
  cpu::set_float_mode();
  equal_bits(DType::f32, ProductOrder::chain);
  equal_bits(DType::bf16, ProductOrder::chain);
  equal_bits(DType::bf16, ProductOrder::tiles);
}

TEST_CASE("attention: powers of two are the same bits on every instruction set", "[kernels]") {
  // A row that has seen exponentials up to 2^x and now sees a score of 0 multiplies its sums by 2^x.
  constexpr int rows = 64;
  const auto powers = [&](std::uint32_t first, std::uint32_t step) {
    std::vector<float> scores(rows * 64, 0.0f), mixed(rows * 16, 1.0f);
    std::vector<bf16> p(rows * 64);
    std::vector<cpu::SoftmaxState> state(rows);
    for (int r = 0; r < rows; ++r) state[r].maximum = std::bit_cast<float>(first + static_cast<std::uint32_t>(r) * step);
    cpu::attention_rows<bf16>().soften({.rows = rows, .first_valid = 1, .cols = 1, .scale = 1, .scores = scores.data(),
                                        .p = p.data(), .stride = 64, .state = state.data(), .mixed = mixed.data(), .width = 16});
    return mixed;
  };
  cpu::set_float_mode();
  constexpr std::uint32_t step = 4093, end = std::bit_cast<std::uint32_t>(-140.0f);
  for (std::uint32_t first = std::bit_cast<std::uint32_t>(-0.0f); first < end; first += rows * step) {
    cpu::select_isa(cpu::Isa::scalar);
    const std::vector<float> expected = powers(first, step);
    for (cpu::Isa isa : {cpu::Isa::avx512_bf16, cpu::Isa::avx512f, cpu::Isa::avx2}) {
      if (isa < cpu::detect_isa()) continue;
      cpu::select_isa(isa);
      INFO(cpu::name(isa) << " from " << std::bit_cast<float>(first));
      REQUIRE(std::memcmp(powers(first, step).data(), expected.data(), expected.size() * sizeof(float)) == 0);
    }
  }
  cpu::select_isa(cpu::detect_isa());
}

TEST_CASE("attention: a token's output depends neither on later tokens nor on its place in the batch", "[kernels]") {
  const auto independent = [](DType type, ProductOrder order) {
    CAPTURE(name(type), name(order));
    Case whole(1, 2, 1, 201, 16, type), part(2, 2, 1, 101, 16, type);
    whole.order = part.order = order;
    for (Elems t = 0; t < 101; ++t)
      for (Elems c = 0; c < whole.qkv.cols(); ++c) {
        part.qkv.set(t, c, whole.qkv.at(t, c));
        part.qkv.set(101 + t, c, whole.qkv.at(t, c));
      }
    whole.forward();
    part.forward();
    for (Elems t = 0; t < 101; ++t)
      for (Elems c = 0; c < whole.out.cols(); ++c) {
        REQUIRE(part.out.at(t, c) == whole.out.at(t, c));
        REQUIRE(part.out.at(101 + t, c) == whole.out.at(t, c));
      }
  };
  cpu::set_float_mode();
  independent(DType::f32, ProductOrder::chain);
  independent(DType::bf16, ProductOrder::chain);
  independent(DType::bf16, ProductOrder::tiles);
}

TEST_CASE("attention: memory grows linearly with the sequence", "[kernels]") {
  for (const auto& bytes_of : {attention_forward_workspace_bytes, attention_backward_workspace_bytes})
    for (int threads : {1, 4}) {
      const auto bytes = [&](Elems tokens) {
        return bytes_of({.batch = 1, .heads = 4, .kv_heads = 2, .tokens = tokens, .head_dim = 64}, threads);
      };
      CHECK(bytes(32768) < 8.2 * static_cast<double>(bytes(4096)));
    }
}

TEST_CASE("attention: a short workspace, heads that do not divide and views that do not fit are refused", "[kernels]") {
  Case c(2, 4, 2, 4, 8, DType::f32);
  GuardedTensor other(DType::f32, 8, 8), narrow(DType::bf16, 8, 32), short_sums(DType::f32, 8, 3);
  AlignedBytes workspace(1 << 20), small(8);
  const View x = c.qkv, dx = c.d_qkv;
  const AttentionForward forward = {.q = c.q(x), .k = c.k(x), .v = c.v(x), .out = c.out, .log_sum_exp = c.log_sum_exp,
                                    .batch = 2, .heads = 4, .kv_heads = 2, .workspace = workspace.view()};
  const AttentionBackward backward = {.q = c.q(x), .k = c.k(x), .v = c.v(x), .out = c.out, .d_out = c.d_out,
                                      .log_sum_exp = c.log_sum_exp, .dq = c.q(dx), .dk = c.k(dx), .dv = c.v(dx),
                                      .batch = 2, .heads = 4, .kv_heads = 2, .workspace = workspace.view()};
  const auto refused = [](const auto& call, auto edit) {
    auto bad = call;
    edit(bad);
    const auto run = [](const auto& k) {
      if constexpr (requires { k.d_out; }) attention_backward(k);
      else attention_forward(k);
    };
    CHECK_THROWS_AS(run(bad), Error);
  };
  const auto refused_by_both = [&](auto edit) { refused(forward, edit), refused(backward, edit); };
  refused_by_both([&](auto& k) { k.workspace = small.view(); });
  refused_by_both([&](auto& k) { k.batch = 3; });
  refused_by_both([&](auto& k) { k.batch = 0; });
  refused_by_both([&](auto& k) { k.kv_heads = 3; });
  refused_by_both([&](auto& k) { k.v = other; });
  refused_by_both([&](auto& k) { k.out = narrow; });
  refused_by_both([&](auto& k) { k.log_sum_exp = short_sums; });
  refused(backward, [&](auto& k) { k.dk = other; });
  refused(backward, [&](auto& k) { k.dq = other; });
  refused(backward, [&](auto& k) { k.d_out = other; });
  CHECK_NOTHROW(attention_forward(forward));
  CHECK_NOTHROW(attention_backward(backward));
}

}  // namespace trireme
