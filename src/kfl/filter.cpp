#include <array>
#include <map>

#include "item/json.h"
#include "kfl/kfl.h"
#include "kfl/limits.h"
#include "kfl/program.h"
#include "kfl/values_v1.h"

namespace baleen::kfl {
namespace {

/// What one thread evaluates with: it keeps its blocks, so that the steady state does not allocate.
struct Scratch {
  BlockPool blocks{64};
  Arena arena{&blocks};
  std::array<Datum, 16> locals;
  std::array<Datum, kMaxCached> cached;
};

Scratch& scratch() {
  // A plain pointer first: a thread-local object with a constructor asks at every use whether it is made.
  thread_local Scratch* ready = nullptr;
  if (__builtin_expect(ready != nullptr, 1)) return *ready;
  thread_local Scratch s;
  ready = &s;
  return s;
}

Datum run(const Filter::Program& program, Context& c, Scratch& s) {
  c.cached = s.cached.data();
  if (program.locals <= s.locals.size()) {
    c.locals = s.locals.data();
  } else {
    c.locals = c.arena.array<Datum>(program.locals).data();
  }
  const Node& root = *program.tree.root;
  return program.dialect == Dialect::kV1 ? eval_v1(root, c) : eval_cel(root, c);
}

bool truth(const Filter::Program& program, const Datum& d) {
  return program.dialect == Dialect::kV1 ? truth_v1(d) : d.is_true();
}

}  // namespace

bool truth_v1(const Datum& d) { return !d.is(Kind::kMissing) && !d.is_error() && truth_form(d); }

Filter::Filter() = default;
Filter::Filter(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
Filter::~Filter() = default;
Filter::Filter(const Filter&) = default;
Filter& Filter::operator=(const Filter&) = default;

void assign_caches(Filter::Program& program) {
  if (program.redacts) return;  // there a field changes while the filter runs
  std::map<std::string, std::vector<Node*>> uses;
  for (Node& n : program.tree.nodes)
    if (n.op == Op::kVariable || n.op == Op::kSelect)
      uses[n.op == Op::kVariable ? n.text : n.path.text()].push_back(&n);
  uint8_t next = 0;
  for (auto& [name, nodes] : uses) {
    if (nodes.size() < 2 || next == kMaxCached) continue;
    ++next;
    for (Node* n : nodes) n->cache = next;
  }
}

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
