#pragma once

#include "comm/status_page.h"
#include "runtime/execute/op_observer.h"

namespace trireme {

/// Writes every op to the node's page. The page must outlive it.
class StatusObserver final : public OpObserver {
 public:
  explicit StatusObserver(StatusPage& page) : page_(page) {}
  void before(const Schedule& schedule, OpId op) override;
  void after(const Schedule& schedule, OpId op) override;

 private:
  StatusPage& page_;
};

}  // namespace trireme
