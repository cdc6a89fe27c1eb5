#include "cmd/printing.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "cmd/commands.h"
#include "cmd/standard_streams.h"
#include "dissect/registry.h"
#include "item/json.h"
#include "item/row.h"

namespace baleen::cmd {
namespace {

/// Terminal control characters in captured text must not reach the terminal.
std::string plain(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '.' : c;
  if (text.size() > limit) out += "…";
  return out;
}

std::string end_of(const item::ResolvedEndpoint& e) {
  return e.name.empty() ? net::to_string(e.address) : fmt::format("{}:{}", e.name, e.address.port);
}

std::string milliseconds(Duration elapsed) {
  return fmt::format("{:.3f} ms", static_cast<double>(elapsed.count()) / 1e6);
}

}  // namespace

int failed(const Error& error) {
  fmt::print(stderr, "baleen: {}\n", error.message);
  return error.code == Code::kInvalid ? exit_code::kUsage : exit_code::kFailed;
}

std::optional<kfl::Filter> compile_filter(std::string_view text,
                                          std::span<const std::pair<std::string, std::string>> macros) {
  kfl::Options options;
  options.protocols = dissect::cards();
  options.macros = macros;
  kfl::Compiled compiled = kfl::compile(text, options);
  if (!compiled.diagnostics.empty()) {
    const std::string rendered = kfl::render(text, compiled.diagnostics);
    fmt::print(stderr, "{}", rendered);
    if (!rendered.ends_with('\n')) fmt::print(stderr, "\n");
  }
  return std::move(compiled.filter);
}

void ItemPrinter::print(const item::Item& item, const kfl::Filter& filter) {
  ++printed_;
  if (format_ == Format::kCount) {
    if (item.protocol != last_) {
      last_ = item.protocol;
      last_count_ = &counts_[last_];
    }
    ++*last_count_;
    return;
  }
  if (format_ == Format::kNdjson) {
    if (filter.redacts()) {
      Arena arena;
      item::append_json(filter.apply(item, arena).record, out_);
    } else {
      item::append_json(item, out_);
    }
    out_ += '\n';
  } else {
    const item::Row r = item::row_of(item);
    const std::string_view error = item::error_of(item);
    row(to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(item.time())), item.protocol->abbreviation,
        end_of(item.client), end_of(item.server), item::display(r.method), item::display(r.summary),
        error.empty() ? item::display(r.status) : std::string(error),
        item.elapsed().count() != 0 ? milliseconds(item.elapsed()) : "");
  }
  if (out_.size() > kFlushAt) flush();
}

void ItemPrinter::print_json(std::string_view json) {
  ++printed_;
  out_ += json;
  out_ += '\n';
  if (out_.size() > kFlushAt) flush();
}

void ItemPrinter::print_stored(const item::Value& item) {
  ++printed_;
  const std::string_view abbreviation = item["protocol"]["abbr"].text();
  const item::Protocol* card = nullptr;
  for (const item::Protocol* candidate : dissect::cards())
    if (candidate->abbreviation == abbreviation &&
        (card == nullptr || candidate->version == item["protocol"]["version"].text()))
      card = candidate;
  const auto end = [&](const char* side) {
    const item::Value e = item[side];
    return fmt::format("{}:{}", e["name"].text().empty() ? e["ip"].text() : e["name"].text(), e["port"].text());
  };
  const auto shown = [&](std::string_view path) {
    return path.empty() ? std::string() : item::display(item::at_path(item, path));
  };
  const std::string_view error = item["error"]["msg"].text();
  const int64_t elapsed = item["elapsedTime"].as_int();
  row(to_rfc3339(timestamp_from_ns(item["timestamp"].as_int() * 1'000'000)), abbreviation, end("src"), end("dst"),
      card != nullptr ? shown(card->method_path) : "", card != nullptr ? shown(card->summary_path) : "",
      error.empty() && card != nullptr ? shown(card->status_path) : std::string(error),
      elapsed != 0 ? milliseconds(Duration(elapsed * 1000)) : "");
  if (out_.size() > kFlushAt) flush();
}

void ItemPrinter::row(std::string_view time, std::string_view protocol, std::string_view from, std::string_view to,
                      std::string_view method, std::string_view summary, std::string_view status,
                      std::string_view elapsed) {
  constexpr std::string_view kRow = "{:<24}  {:<8}  {:<21}  {:<21}  {:<8}  {:<11}  {:>11}  {}\n";
  if (!header_done_)
    out_ += fmt::format(fmt::runtime(kRow), "TIME", "PROTOCOL", "FROM", "TO", "METHOD", "STATUS", "ELAPSED", "SUMMARY");
  header_done_ = true;
  out_ += fmt::format(fmt::runtime(kRow), time, protocol, from, to, plain(method, 20), plain(status, 20), elapsed,
                      plain(summary, 160));
}

void ItemPrinter::print_totals() {
  if (format_ == Format::kCount) {
    std::map<std::string_view, uint64_t> by_name;
    for (const auto& [protocol, n] : counts_) by_name[item::short_name(*protocol)] += n;
    for (const auto& [name, n] : by_name) out_ += fmt::format("{} {}\n", name, n);
  }
  flush();
}

void ItemPrinter::flush() {
  std::string_view rest = out_;
  while (!rest.empty() && !closed_) {
    const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      note_output_failure(errno);
      closed_ = true;
    }
    if (n > 0) rest.remove_prefix(static_cast<size_t>(n));
  }
  out_.clear();
}

Progress::Progress(std::string_view what) : what_(what), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

bool Progress::due() {
  if (!terminal_) return false;
  const int64_t ms = to_ms(now());
  if (ms - last_ms_ < 200) return false;
  last_ms_ = ms;
  return true;
}

void Progress::show(std::string_view text) {
  shown_ = true;
  fmt::print(stderr, "\r\033[K{}: {}", what_, text);
}

}  // namespace baleen::cmd
