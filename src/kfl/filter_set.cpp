#include "kfl/filter_set.h"

#include <map>

#include "base/check.h"
#include "kfl/limits.h"
#include "kfl/program.h"
#include "kfl/protocols.h"

// The logical skeletons of the filters (and, or, not, parentheses) become steps of one plan; what is below them are
// conditions, and conditions with the same text in the same dialect are one, whose outcome is kept while an item is
// looked at. The steps keep each dialect's rules: a missing path of v1 stops up to the parentheses, an error of v2 is
// swallowed by a side that decides.

namespace baleen::kfl {
namespace {

enum class Outcome : uint8_t { kUnknown, kFalse, kTrue, kStop };  // kStop: missing (v1), error (v2)

struct PlanStep {
  enum class Kind : uint8_t { kCondition, kAnd, kOr, kNot, kGroup };
  Kind kind;
  bool v1;
  uint32_t a = 0, b = 0;  // steps; kCondition: which condition
};

struct Condition {
  const Node* node;
  bool v1;
  uint32_t locals;
};

}  // namespace

struct FilterSet::Plan {
  struct Root {
    uint32_t step = 0;
    uint64_t protocols = kAnyProtocol;  // which it can match
    bool everything = false;            // the empty filter
    bool alone = false;                 // redacts: evaluated by itself
  };
  std::vector<Filter> filters;
  std::vector<Root> roots;
  std::vector<PlanStep> steps;
  std::vector<Condition> conditions;
  std::map<std::string, uint32_t> step_of;
  uint32_t most_locals = 1;

  uint32_t add(PlanStep step, std::string key) {
    const auto [at, fresh] = step_of.emplace(std::move(key), static_cast<uint32_t>(steps.size()));
    if (fresh) steps.push_back(step);
    return at->second;
  }

  static bool gives_bool(const Node* n) {
    while (n->op == Op::kGroup) n = n->args[0];
    return n->op == Op::kAnd || n->op == Op::kOr || (n->op >= Op::kEqual && n->op <= Op::kGreaterEqual);
  }

  uint32_t plan(const Node* n, bool v1, uint32_t locals) {
    const auto kind = n->op == Op::kAnd     ? PlanStep::Kind::kAnd
                      : n->op == Op::kOr    ? PlanStep::Kind::kOr
                      : n->op == Op::kNot   ? PlanStep::Kind::kNot
                      : n->op == Op::kGroup ? PlanStep::Kind::kGroup
                                            : PlanStep::Kind::kCondition;
    // `!` of v1 changes only true and false: what may be something else is left to the evaluator.
    const bool opaque = v1 && kind == PlanStep::Kind::kNot && !gives_bool(n->args[0]);
    if (kind == PlanStep::Kind::kCondition || opaque) {
      std::string key = (v1 ? "1 " : "2 ") + std::to_string(n->op == Op::kInPlace ? n->mask : 0) + " " +
                        (v1 ? print_v1(n) : print_cel(n));
      if (n->op == Op::kFlag) key += " flag " + std::to_string(n->mask);
      if (n->op == Op::kTime || key.find("now") != std::string::npos)
        key += " " + std::to_string(reinterpret_cast<uintptr_t>(n));
      if (const auto found = step_of.find(key); found != step_of.end()) return found->second;
      conditions.push_back({n, v1, locals});
      most_locals = std::max(most_locals, locals);
      return add({PlanStep::Kind::kCondition, v1, static_cast<uint32_t>(conditions.size() - 1)}, std::move(key));
    }
    const uint32_t a = plan(n->args[0], v1, locals);
    const uint32_t b = n->args.size() > 1 ? plan(n->args[1], v1, locals) : 0;
    return add({kind, v1, a, b}, std::to_string(static_cast<int>(kind)) + (v1 ? "/1/" : "/2/") + std::to_string(a) +
                                     "/" + std::to_string(b));
  }

  static uint64_t flags_in(const Node* n) {
    if (n->op == Op::kFlag || n->op == Op::kInPlace) return n->mask;
    return n->op == Op::kAnd ? flags_in(n->args[0]) & flags_in(n->args[1]) : kAnyProtocol;
  }

  /// What one item is looked at with; one for each thread.
  struct Memory {
    BlockPool blocks{64};
    Arena arena{&blocks};
    std::vector<Outcome> known;
    std::vector<Datum> locals;
  };
  static Memory& memory() {
    thread_local Memory m;
    return m;
  }

  Outcome evaluate(const Condition& condition, Context& c) const {
    const Datum d = condition.v1 ? eval_v1(*condition.node, c) : eval_cel(*condition.node, c);
    c.work = kMaxWork;  // each condition has the whole budget, as it has alone in the worst case
    if (d.is_error() || d.is(Kind::kMissing)) return Outcome::kStop;
    if (!condition.v1) return d.is(Kind::kBool) ? (d.boolean ? Outcome::kTrue : Outcome::kFalse) : Outcome::kStop;
    return truth_v1(d) ? Outcome::kTrue : Outcome::kFalse;
  }

  Outcome step(uint32_t i, Context& c, std::vector<Outcome>& known) const {
    if (known[i] != Outcome::kUnknown) return known[i];
    return known[i] = compute(steps[i], c, known);
  }

  Outcome compute(const PlanStep& s, Context& c, std::vector<Outcome>& known) const {
    switch (s.kind) {
      case PlanStep::Kind::kCondition: return evaluate(conditions[s.a], c);
      case PlanStep::Kind::kGroup: {
        const Outcome o = step(s.a, c, known);
        return o == Outcome::kStop ? Outcome::kFalse : o;
      }
      case PlanStep::Kind::kNot: {
        const Outcome o = step(s.a, c, known);
        return o == Outcome::kTrue ? Outcome::kFalse : o == Outcome::kFalse ? Outcome::kTrue : o;
      }
      default: break;
    }
    const Outcome decides = s.kind == PlanStep::Kind::kOr ? Outcome::kTrue : Outcome::kFalse;
    const Outcome a = step(s.a, c, known);
    if (a == decides || (s.v1 && a == Outcome::kStop)) return a;
    const Outcome b = step(s.b, c, known);
    if (b == decides) return b;
    return a == Outcome::kStop ? a : b;
  }

  void run(Record record, std::span<bool> out) const {
    BALEEN_CHECK(out.size() == roots.size());
    Memory& m = memory();
    m.arena.clear();
    m.known.assign(steps.size(), Outcome::kUnknown);
    if (m.locals.size() < most_locals) m.locals.resize(most_locals);
    Context c{record, m.arena, kMaxWork, m.locals.data()};
    c.protocols = protocol_of(record);
    for (size_t i = 0; i < roots.size(); ++i) {
      const Root& root = roots[i];
      if (root.alone)
        out[i] = record.item != nullptr ? filters[i].matches(*record.item) : filters[i].matches_json(*record.root);
      else if (root.everything)
        out[i] = true;
      else
        out[i] = (root.protocols & c.protocols & ~kKnown) != 0 && step(root.step, c, m.known) == Outcome::kTrue;
    }
  }
};

FilterSet::FilterSet(std::span<const Filter> filters) : plan_(std::make_unique<Plan>()) {
  for (const Filter& f : filters) {
    plan_->filters.push_back(f);
    const Filter::Program* p = f.program();
    Plan::Root root;
    root.everything = p == nullptr || p->tree.root == nullptr;
    root.alone = !root.everything && p->redacts;
    if (!root.everything && !root.alone) {
      const bool v1 = p->dialect == Dialect::kV1;
      root.step = plan_->plan(p->tree.root, v1, p->locals);
      if (!v1) root.protocols = Plan::flags_in(p->tree.root);
    }
    plan_->roots.push_back(root);
  }
}
FilterSet::~FilterSet() = default;
FilterSet::FilterSet(FilterSet&&) noexcept = default;
FilterSet& FilterSet::operator=(FilterSet&&) noexcept = default;

size_t FilterSet::size() const { return plan_->roots.size(); }
size_t FilterSet::conditions() const { return plan_->conditions.size(); }
void FilterSet::match(const item::Item& item, std::span<bool> out) const { plan_->run({&item, nullptr}, out); }
void FilterSet::match_json(const item::Value& root, std::span<bool> out) const { plan_->run({nullptr, &root}, out); }

}  // namespace baleen::kfl
