#pragma once

#include <string>

#include "worker/worker.h"

namespace baleen::worker {

/// All metrics in Prometheus' text format (version 0.0.4).
std::string metrics_text(const WorkerStatus& status);

/// Names, types and meanings, as Markdown: docs/reference/metrics.md is made from it.
std::string metrics_reference();

}  // namespace baleen::worker
