#include "kfl/program.h"
namespace baleen::kfl {
Datum eval_cel(const Node&, Context&) { return Datum::error("not built"); }
}  // namespace baleen::kfl
