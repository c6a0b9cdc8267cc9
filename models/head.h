#pragma once
// The head of every model: final norm, logits and loss in chunks of tokens. The [N,V] logits never exist.

#include <vector>

#include "models/describe.h"
#include "models/model.h"
#include "models/norm.h"
#include "models/shapes.h"

namespace trireme {

/// Segments of the head unit: `loss` and `choose`.
std::vector<SegmentSpec> head_segments(const Shapes& s, const MicrobatchShape& shape);

/// The head's tensors start with the norm's gain (and bias); see Norm.
void run_head(const Head& op, const Shapes& s, const Norm& norm);
void run_choose(const HeadChoose& op, const Shapes& s, const Norm& norm);

}  // namespace trireme
