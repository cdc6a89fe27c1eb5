#include <array>

#include "item/json.h"
#include "kfl/kfl.h"
#include "kfl/limits.h"
#include "kfl/program.h"

namespace baleen::kfl {
namespace {

/// What one thread evaluates with: it keeps its blocks, so that the steady state does not allocate.
struct Scratch {
  BlockPool blocks{64};
  Arena arena{&blocks};
  std::array<Datum, 16> locals;
};

Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

Datum run(const Filter::Program& program, Context& c, Scratch& s) {
  std::array<Datum, 0> none;
  (void)none;
  if (program.locals <= s.locals.size()) {
    c.locals = s.locals.data();
  } else {
    c.locals = c.arena.array<Datum>(program.locals).data();
  }
  const Node& root = *program.tree.root;
  return program.dialect == Dialect::kV1 ? eval_v1(root, c) : eval_cel(root, c);
}

bool truth(const Filter::Program& program, const Datum& d) {
  if (program.dialect != Dialect::kV1) return d.is_true();
  switch (d.kind) {
    case Kind::kMissing:
    case Kind::kError: return false;
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kList:
    case Kind::kItemList: return d.size != 0;
    case Kind::kInt: return d.integer > 0;
    case Kind::kDouble: return d.real > 0;
    default: return d.is_true();
  }
}

}  // namespace

Filter::Filter() = default;
Filter::Filter(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
Filter::~Filter() = default;
Filter::Filter(const Filter&) = default;
Filter& Filter::operator=(const Filter&) = default;

bool Filter::matches(const item::Item& item) const {
  if (program_ == nullptr || program_->tree.root == nullptr) return true;
  Scratch& s = scratch();
  s.arena.clear();
  Context c{{&item, nullptr}, s.arena, kMaxWork};
  item::Value tree;
  if (program_->redacts) tree = item::as_value(item, s.arena), c.record = {nullptr, &tree};
  return truth(*program_, run(*program_, c, s));
}

bool Filter::matches_json(const item::Value& root) const {
  if (program_ == nullptr || program_->tree.root == nullptr) return true;
  Scratch& s = scratch();
  s.arena.clear();
  Context c{{nullptr, &root}, s.arena, kMaxWork};
  return truth(*program_, run(*program_, c, s));
}

Filter::Answer Filter::apply(const item::Item& item, Arena& arena) const {
  return apply_json(item::as_value(item, arena), arena);
}

Filter::Answer Filter::apply_json(const item::Value& root, Arena& arena) const {
  if (program_ == nullptr || program_->tree.root == nullptr) return {true, root, {}};
  Context c{{nullptr, &root}, arena, kMaxWork};
  const Datum d = run(*program_, c, scratch());
  return {truth(*program_, d), *c.record.root, d.is_error() ? d.text() : std::string_view()};
}

uint64_t Filter::limit() const { return program_ != nullptr ? program_->limit : 0; }
bool Filter::redacts() const { return program_ != nullptr && program_->redacts; }
std::string_view Filter::text() const { return program_ != nullptr ? std::string_view(program_->text) : ""; }
Dialect Filter::dialect() const { return program_ != nullptr ? program_->dialect : Dialect::kAuto; }

}  // namespace baleen::kfl
