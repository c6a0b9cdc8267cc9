#include "runtime/kernels/attention.h"

#include <bit>
#include <cstring>

#include "runtime/kernels/cpu/attention/attention_rows.h"
#include "runtime/kernels/cpu/attention/attention_workspace.h"
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
  GuardedTensor qkv, out, log_sum_exp, d_out, d_qkv, starts;
  bool has_documents = false;

  Case(int b, int h, int kv, Elems t, Elems head_dim, DType element)
      : batch(b),
        heads(h),
        kv_heads(kv),
        tokens(t),
        d(head_dim),
        type(element),
        qkv(element, b * t, (h + 2 * kv) * head_dim),
        out(element, b * t, h * head_dim, 2),
        log_sum_exp(DType::f32, b * h, t),
        d_out(element, b * t, h * head_dim),
        d_qkv(element, b * t, (h + 2 * kv) * head_dim, 1),
        starts(DType::i32, b * t) {
    qkv.randomize(11);
    d_out.randomize(12);
  }
  /// Documents that begin at these places of every sequence.
  void cut_documents(const std::vector<Elems>& begins) {
    has_documents = true;
    for (int b = 0; b < batch; ++b)
      for (Elems t = 0, start = 0; t < tokens; ++t) {
        if (std::find(begins.begin(), begins.end(), t) != begins.end()) start = t;
        starts.set(b * tokens + t, static_cast<double>(start));
      }
  }
  ConstView document_starts() const { return has_documents ? ConstView(starts) : ConstView(); }
  AttentionShape shape() const {
    return {.batch = batch, .heads = heads, .kv_heads = kv_heads, .tokens = tokens, .head_dim = d, .type = type};
  }
  float scale() const { return 1 / std::sqrt(static_cast<float>(d)); }
  template <typename AnyView>
  AnyView q(AnyView x) const {
    return x.cols_from(0, heads * d);
  }
  template <typename AnyView>
  AnyView k(AnyView x) const {
    return x.cols_from(heads * d, kv_heads * d);
  }
  template <typename AnyView>
  AnyView v(AnyView x) const {
    return x.cols_from((heads + kv_heads) * d, kv_heads * d);
  }

  void forward() {
    AlignedBytes workspace(attention_forward_workspace_bytes(shape(), cpu::kernel_threads()));
    const View x = qkv;
    attention_forward({.q = q(x),
                       .k = k(x),
                       .v = v(x),
                       .out = out,
                       .log_sum_exp = log_sum_exp,
                       .document_starts = document_starts(),
                       .batch = batch,
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .scale = scale(),
                       .workspace = workspace.view(),
                       .order = order});
  }
  void backward() {
    AlignedBytes workspace(attention_backward_workspace_bytes(shape(), cpu::kernel_threads()));
    const View x = qkv, dx = d_qkv;
    attention_backward({.q = q(x),
                        .k = k(x),
                        .v = v(x),
                        .out = out,
                        .d_out = d_out,
                        .log_sum_exp = log_sum_exp,
                        .dq = q(dx),
                        .dk = k(dx),
                        .dv = v(dx),
                        .document_starts = document_starts(),
                        .batch = batch,
                        .heads = heads,
                        .kv_heads = kv_heads,
                        .scale = scale(),
                        .workspace = workspace.view(),
                        .order = order});
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
  std::vector<std::size_t> begins;
  for (Elems t = 0; has_documents && t < tokens; ++t) begins.push_back(static_cast<std::size_t>(starts.at(t)));
  const int group = heads / kv_heads;
  for (int b = 0; b < batch; ++b)
    for (int kv = 0; kv < kv_heads; ++kv) {
      Rows dk, dv;
      for (int h = kv * group; h < (kv + 1) * group; ++h) {
        const reference::AttentionResult r = reference::attention({.q = rows(qkv, b, h * d),
                                                                   .k = rows(qkv, b, (heads + kv) * d),
                                                                   .v = rows(qkv, b, (heads + kv_heads + kv) * d),
                                                                   .d_out = rows(d_out, b, h * d),
                                                                   .starts = begins,
                                                                   .scale = scale(),
                                                                   .type = type});
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

void check(int batch, int heads, int kv_heads, Elems tokens, Elems d, DType type,
           const std::vector<Elems>& documents = {}) {
  for (ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) {
    if (type == DType::f32 && order == ProductOrder::tiles) continue;
    CAPTURE(batch, heads, kv_heads, tokens, d, name(type), name(order));
    Case c(batch, heads, kv_heads, tokens, d, type);
    c.order = order;
    if (!documents.empty()) c.cut_documents(documents);
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

TEST_CASE("attention: queries see the keys of their document, as a block-diagonal mask in double precision",
          "[kernels]") {
  std::vector<Elems> every_token, many(1);
  for (Elems t = 0; t < 70; ++t) every_token.push_back(t);
  for (Elems t = 5; t < 461; t = t * 7 / 5) many.push_back(t);
  const std::vector<std::vector<Elems>> cuts = {{1},  {34}, {7, 8, 9, 20},    {32},       {31, 33}, {64},
                                                {63}, {65}, {63, 64, 65, 66}, every_token};
  for (DType type : {DType::bf16, DType::f32}) {
    for (const std::vector<Elems>& documents : cuts) check(1, 1, 1, 70, 16, type, documents);
    for (const std::vector<Elems>& documents : {std::vector<Elems>{192}, {191}, {193}, {128, 200}, {64, 192, 256}})
      check(1, 1, 1, 261, 16, type, documents);
    for (Elems d : {1, 15, 30, 32, 64}) check(1, 1, 1, 67, d, type, {1, 40, 66});
    check(1, 1, 1, 461, 6, type, many);
    check(2, 6, 2, 75, 10, type, {3, 64});
    check(1, 4, 1, 33, 32, type, {32});
  }
  for (Elems d : {80, 96, 128}) check(1, 1, 1, 67, d, DType::bf16, {1, 40, 66});
  check(1, 2, 1, 202, 64, DType::bf16, {50, 130, 199});
}

TEST_CASE("attention: without a cut, document starts give the bits of none", "[kernels]") {
  cpu::set_float_mode();
  for (DType type : {DType::bf16, DType::f32}) {
    Case plain(2, 2, 1, 199, 30, type), whole(2, 2, 1, 199, 30, type), cut(2, 2, 1, 199, 30, type);
    whole.cut_documents({0}), cut.cut_documents({100});
    for (Case* c : {&plain, &whole, &cut}) c->forward(), c->backward();
    CHECK(whole.out.bytes() == plain.out.bytes());
    CHECK(whole.log_sum_exp.bytes() == plain.log_sum_exp.bytes());
    CHECK(whole.d_qkv.bytes() == plain.d_qkv.bytes());
    CHECK(cut.out.bytes() != plain.out.bytes());
    // The first document does not know what comes behind it.
    for (Elems t = 0; t < 100; ++t)
      for (Elems c = 0; c < plain.out.cols(); ++c) REQUIRE(cut.out.at(t, c) == plain.out.at(t, c));
  }
}

TEST_CASE("attention: a document that starts with a block of keys has the bits of a sequence of its own", "[kernels]") {
  const auto equal = [](DType type, ProductOrder order) {
    CAPTURE(name(type), name(order));
    constexpr Elems begin = 384, length = 230, behind = 45;
    Case packed(1, 4, 2, begin + length + behind, 32, type), alone(1, 4, 2, length, 32, type);
    packed.order = alone.order = order;
    packed.cut_documents({100, begin, begin + length, begin + length + 3});
    const auto copy = [&](GuardedTensor& to, const GuardedTensor& from) {
      for (Elems t = 0; t < length; ++t)
        for (Elems c = 0; c < to.cols(); ++c) to.set(t, c, from.at(begin + t, c));
    };
    copy(alone.qkv, packed.qkv), copy(alone.d_out, packed.d_out);
    for (Case* c : {&packed, &alone}) c->forward(), c->backward();
    for (Elems t = 0; t < length; ++t) {
      for (Elems c = 0; c < alone.out.cols(); ++c) REQUIRE(packed.out.at(begin + t, c) == alone.out.at(t, c));
      for (Elems c = 0; c < alone.d_qkv.cols(); ++c) REQUIRE(packed.d_qkv.at(begin + t, c) == alone.d_qkv.at(t, c));
    }
  };
  cpu::set_float_mode();
  equal(DType::f32, ProductOrder::chain);
  equal(DType::bf16, ProductOrder::chain);
  equal(DType::bf16, ProductOrder::tiles);
}

TEST_CASE("attention: no bit of a document depends on what the others hold", "[kernels]") {
  const auto independent = [](DType type, ProductOrder order) {
    CAPTURE(name(type), name(order));
    constexpr Elems begin = 70, end = 150;
    Case one(1, 2, 1, 211, 16, type), other(1, 2, 1, 211, 16, type);
    one.order = other.order = order;
    other.qkv.randomize(21, 3), other.d_out.randomize(22, 3);
    for (Elems t = begin; t < end; ++t) {
      for (Elems c = 0; c < one.qkv.cols(); ++c) other.qkv.set(t, c, one.qkv.at(t, c));
      for (Elems c = 0; c < one.d_out.cols(); ++c) other.d_out.set(t, c, one.d_out.at(t, c));
    }
    for (Case* c : {&one, &other}) c->cut_documents({30, begin, end, 200}), c->forward(), c->backward();
    for (Elems t = begin; t < end; ++t) {
      for (Elems c = 0; c < one.out.cols(); ++c) REQUIRE(other.out.at(t, c) == one.out.at(t, c));
      for (Elems c = 0; c < one.d_qkv.cols(); ++c) REQUIRE(other.d_qkv.at(t, c) == one.d_qkv.at(t, c));
    }
  };
  cpu::set_float_mode();
  independent(DType::f32, ProductOrder::chain);
  independent(DType::bf16, ProductOrder::chain);
  independent(DType::bf16, ProductOrder::tiles);
}

TEST_CASE("attention: threads that share a key head give the bits of one", "[kernels]") {
  const auto equal_bits = [](DType type, ProductOrder order, const std::vector<Elems>& documents) {
    CAPTURE(name(type), name(order), documents.size());
    Case c(1, 2, 1, 1027, 16, type);
    c.order = order;
    if (!documents.empty()) c.cut_documents(documents);
    REQUIRE_FALSE(cpu::threads_share_heads(c.shape(), 1));
    c.forward();
    c.backward();
    c.compare();
    for (int threads : {2, 4}) {
      REQUIRE(cpu::threads_share_heads(c.shape(), threads));
      Case shared(1, 2, 1, 1027, 16, type);
      shared.order = order;
      if (!documents.empty()) shared.cut_documents(documents);
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
  for (const std::vector<Elems>& documents : {std::vector<Elems>{}, {64, 65, 300, 511, 768, 1000, 1026}}) {
    equal_bits(DType::f32, ProductOrder::chain, documents);
    equal_bits(DType::bf16, ProductOrder::chain, documents);
    equal_bits(DType::bf16, ProductOrder::tiles, documents);
  }
}

TEST_CASE("attention: powers of two are the same bits on every instruction set", "[kernels]") {
  // A row that has seen exponentials up to 2^x and now sees a score of 0 multiplies its sums by 2^x.
  constexpr int rows = 64;
  const auto powers = [&](std::uint32_t first, std::uint32_t step) {
    std::vector<float> scores(rows * 64, 0.0f), mixed(rows * 16, 1.0f);
    std::vector<bf16> p(rows * 64);
    std::vector<cpu::SoftmaxState> state(rows);
    for (int r = 0; r < rows; ++r)
      state[r].maximum = std::bit_cast<float>(first + static_cast<std::uint32_t>(r) * step);
    cpu::attention_rows<bf16>().soften({.rows = rows,
                                        .first_valid = 1,
                                        .cols = 1,
                                        .scale = 1,
                                        .scores = scores.data(),
                                        .p = p.data(),
                                        .stride = 64,
                                        .state = state.data(),
                                        .mixed = mixed.data(),
                                        .width = 16});
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
  const AttentionForward forward = {.q = c.q(x),
                                    .k = c.k(x),
                                    .v = c.v(x),
                                    .out = c.out,
                                    .log_sum_exp = c.log_sum_exp,
                                    .batch = 2,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .workspace = workspace.view()};
  const AttentionBackward backward = {.q = c.q(x),
                                      .k = c.k(x),
                                      .v = c.v(x),
                                      .out = c.out,
                                      .d_out = c.d_out,
                                      .log_sum_exp = c.log_sum_exp,
                                      .dq = c.q(dx),
                                      .dk = c.k(dx),
                                      .dv = c.v(dx),
                                      .batch = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .workspace = workspace.view()};
  const auto refused = [](const auto& call, auto edit) {
    auto bad = call;
    edit(bad);
    const auto run = [](const auto& k) {
      if constexpr (requires { k.d_out; })
        attention_backward(k);
      else
        attention_forward(k);
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
  // No starts of documents: ahead of their token, inside another document, or below 0; and one too few.
  const std::vector<std::vector<int>> wrong = {{0, 0, 0, 3, 0, 0, 3, 3},
                                               {0, 1, 3, 3, 0, 0, 0, 0},
                                               {0, 1, 2, 1, 0, 0, 0, 0},
                                               {0, 0, 2, 2, 1, 1, 1, 1},
                                               {0, 0, 0, 0, -1, -1, -1, -1}};
  for (const std::vector<int>& values : wrong) {
    for (Elems n = 0; n < 8; ++n) c.starts.set(n, values[static_cast<std::size_t>(n)]);
    refused_by_both([&](auto& k) { k.document_starts = c.starts; });
    refused_by_both([&](auto& k) { k.document_starts = c.starts.view().cols_from(0, 7); });
  }
  CHECK_NOTHROW(attention_forward(forward));
  CHECK_NOTHROW(attention_backward(backward));
}

}  // namespace trireme
