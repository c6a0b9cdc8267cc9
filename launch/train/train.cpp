#include "launch/train/train.h"

#include <memory>

#include "launch/train/run_end.h"
#include "launch/train/run_loop.h"
#include "launch/train/run_start.h"

namespace trireme {

void train(MpiRun& mpi, const TrainOptions& options) {
  // Before the configurations are known to be equal the deadline is the default.
  const std::unique_ptr<Communicator> first =
      mpi.make_communicator({.deadline_s = ParallelConfig().deadline_s, .share = false});
  const RunInputs inputs = read_together(*first, options);
  const Config& config = inputs.config;
  const std::unique_ptr<Communicator> communicator =
      mpi.make_communicator({.deadline_s = config.parallel.deadline_s,
                             .share = config.memory.share,
                             .ranks_per_node = config.parallel.ranks_per_node});
  const Run run{.mpi = mpi, .communicator = *communicator, .options = options, .inputs = inputs};
  RunStart start = start_run(run);
  RunLoop loop(run, start);
  loop.run_steps();
  end_run(run, start, loop);
}

}  // namespace trireme
