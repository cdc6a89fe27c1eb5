#include "kfl/check_v1.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/suggest.h"
#include "kfl/closed_sets.h"
#include "kfl/complete.h"
#include "kfl/macros_v1.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

using Names = std::set<std::string, std::less<>>;

/// The fields of v1. Kept for the protocols that were asked for last.
std::shared_ptr<const Names> names_for(const Options& options) {
  static std::mutex mutex;
  static std::vector<const item::Protocol*> key;
  static std::shared_ptr<const Names> kept;
  const std::lock_guard lock(mutex);
  if (kept == nullptr || !std::equal(key.begin(), key.end(), options.protocols.begin(), options.protocols.end())) {
    auto made = std::make_shared<Names>();
    for (const NamedThing& t : named_things(Dialect::kV1, options)) made->insert(t.name);
    key.assign(options.protocols.begin(), options.protocols.end());
    kept = std::move(made);
  }
  return kept;
}

class Reviewer {
 public:
  Reviewer(const Options& options, Diagnoser& d)
      : d_(d), environment_(environment_for(options.protocols)), kept_(names_for(options)), names_(*kept_) {
    for (const Macro& m : macros_of(options)) macros_.insert(m.name);
  }

  void visit(const Node* n) {
    if (n->op == Op::kSelect) field(n);
    if (n->op == Op::kEqual || n->op == Op::kNotEqual)
      for (size_t i = 0; i < 2; ++i) value(n->args[i], n->args[1 - i]);
    for (const Node* arg : n->args) visit(arg);
  }

 private:
  void field(const Node* n) {
    for (const Step& s : n->path.steps)
      if (s.kind != Step::Kind::kName || s.quoted || s.called) return;
    const std::string path = n->path.text();
    if (is_known(path) || macros_.contains(path) || !said_.insert(path).second) return;
    if (const Variable* v = environment_->find(path); v != nullptr && path.find('.') == std::string::npos) {
      if (v->sources.empty()) {
        d_.warning(n->begin, n->end, fmt::format("items have no field {}", shown(path)), "it is a name of KFL v2");
        return;
      }
      suggest_field(n, path, v->sources[0].path.text(), fmt::format(" {} is its name in KFL v2", shown(path)));
    } else if (const std::string_view near = nearest(path); !near.empty()) {
      suggest_field(n, path, std::string(near), "");
    } else if (!slip_of_v2(n, path)) {
      unknown_root(n, path);
    }
  }

  /// `htp`, `respnse.status`: nothing of an item begins like that.
  void unknown_root(const Node* n, const std::string& path) {
    const std::string_view root = std::string_view(path).substr(0, path.find('.'));
    const auto next = names_.lower_bound(root);
    if (next != names_.end() && next->starts_with(root) && (next->size() == root.size() || (*next)[root.size()] == '.'))
      return;
    std::vector<std::string_view> likely;
    if (root.size() == path.size()) likely.assign(macros_.begin(), macros_.end());
    for (const std::string_view name : names_)
      if (const std::string_view begin = name.substr(0, name.find('.')); likely.empty() || likely.back() != begin)
        likely.push_back(begin);
    const std::string_view near = suggest(root, likely);
    if (!near.empty()) return suggest_field(n, path, std::string(near) + path.substr(root.size()), "");
    d_.warning(n->begin, n->end, fmt::format("items have no field {}", shown(path)), "it is never there");
  }

  /// `status_cod`: near a name of v2, which an ambiguous text may have meant. Whether it was one.
  bool slip_of_v2(const Node* n, const std::string& path) {
    if (path.size() <= 5 || path.find('.') != std::string::npos) return false;
    const std::string_view near = suggest(path, environment_->names());
    if (near.empty()) return false;
    const Variable* v = environment_->find(near);
    d_.warning(n->begin, n->end, fmt::format("items have no field {}", shown(path)),
               v->sources.empty()
                   ? fmt::format("did you mean \"{}\" of KFL v2?", near)
                   : fmt::format("did you mean \"{}\" (in KFL v2 \"{}\")?", v->sources[0].path.text(), near));
    return true;
  }

  void suggest_field(const Node* n, const std::string& path, std::string meant, std::string_view why) {
    std::string suggestion = fmt::format("did you mean \"{}\"?{}", meant, why);
    d_.warning(n->begin, n->end, fmt::format("items have no field {}", shown(path)), std::move(suggestion),
               Diagnostic::Fix{std::move(meant), false});
  }

  /// Whether it is a field, holds fields, or lies within one.
  bool is_known(std::string_view path) const {
    if (names_.contains(path)) return true;
    const auto next = names_.lower_bound(std::string(path) + ".");
    if (next != names_.end() && next->starts_with(path) && (*next)[path.size()] == '.') return true;
    for (size_t dot = path.rfind('.'); dot != std::string_view::npos;
         dot = dot == 0 ? dot - 1 : path.rfind('.', dot - 1))
      if (names_.contains(path.substr(0, dot))) return true;
    return false;
  }

  std::string_view nearest(std::string_view path) const {
    static constexpr std::pair<std::string_view, std::string_view> kShort[] = {
        {"src.ns", "src.namespace"},
        {"dst.ns", "dst.namespace"},
        {"src.svc", "src.service"},
        {"dst.svc", "dst.service"},
        {"response.latency", "elapsedTime"},
        {"response.statusCode", "response.status"},
        {"response.code", "response.status"},
        {"request.url.path", "request.path"},
        {"response.status_code", "response.status"}};
    for (const auto& [shortened, meant] : kShort)
      if (shortened == path && !is_known(path)) return meant;
    const size_t dot = path.find('.');
    if (path.size() <= 3 || dot == std::string_view::npos) return {};
    std::vector<std::string_view> likely;  // compared letter by letter, which takes its time
    for (const std::string_view name : names_)
      if (name.size() + 2 >= path.size() && name.size() <= path.size() + 2 && name.starts_with(path.substr(0, dot + 1)))
        likely.push_back(name);
    return suggest(path, likely);
  }

  void value(const Node* field, const Node* literal) {
    if (field->op == Op::kSelect && literal->op == Op::kLiteral && literal->value.is(Kind::kString))
      warn_closed_set(field->path.text(), literal->value.text(), literal->begin, literal->end, d_);
  }

  Diagnoser& d_;
  std::shared_ptr<const Environment> environment_;
  std::shared_ptr<const Names> kept_;
  const Names& names_;
  Names macros_;
  std::set<std::string> said_;
};

}  // namespace

void check_v1(const Tree& tree, const Options& options, Diagnoser& diagnose) {
  if (tree.root != nullptr) Reviewer(options, diagnose).visit(tree.root);
}

}  // namespace baleen::kfl
