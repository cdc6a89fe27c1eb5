#include <algorithm>
#include <utility>

#include "dissect/engine.h"
#include "dissect/tls/decrypt/key_log.h"

// What TLS carries is a conversation like any other: it has two halves, a state, a session, and the same functions feed
// it; only that its bytes come from the session of the flow around it, in the middle of a step of that one. So what is
// in hand is put aside meanwhile.
//
// Secrets may be logged later than they are used. Then the session lets its bytes wait (in its half, within bounds),
// its flow is noted among the waiters, and does not end, until the key log has changed or the time is over.

namespace baleen::dissect {
namespace {

constexpr size_t kMostWaiters = 65536;
constexpr int kDeepest = 3;  // TLS through a tunnel inside TLS

}  // namespace

Flow& Engine::outermost(Flow& flow) {
  Flow* f = &flow;
  while (f->is_inner) f = static_cast<InnerFlow*>(f)->outer;
  return *f;
}

/// Null where conversations inside conversations go too deep.
InnerFlow* Engine::open_inner(Flow& outer, Bytes client_random) {
  if (outer.inner) return outer.inner.get();
  int depth = 1;
  for (const Flow* f = &outer; f->is_inner; f = static_cast<const InnerFlow*>(f)->outer) ++depth;
  if (depth > kDeepest) return nullptr;
  auto inner = std::make_unique<InnerFlow>();
  inner->key = outer.key;
  inner->client_half = outer.client_half;
  inner->oriented = true;
  inner->is_inner = true;
  inner->outer = &outer;
  inner->stream = outer.stream;
  inner->vlan = outer.vlan;
  // Its beginnings are known, unless bytes were lost before.
  inner->isn_known[0] = inner->isn_known[1] = true;
  std::copy_n(client_random.begin(), std::min(client_random.size(), inner->client_random.size()),
              inner->client_random.begin());
  ++counters_.inner_streams;
  outer.inner = std::move(inner);
  return outer.inner.get();
}

bool Engine::pass_inner(Direction direction, Bytes plaintext, Timestamp time, Bytes client_random) {
  Flow* const outer = flow_;
  InnerFlow* const inner = open_inner(*outer, client_random);
  if (inner == nullptr || inner->state == Flow::State::kIgnored) return false;
  const Hand hand = std::exchange(hand_, {});
  const bool final = std::exchange(final_, false);
  inner->last = time;
  flow_ = inner;
  feed(*inner, half_of(*inner, direction), plaintext, time);
  flow_ = outer;
  final_ = final;
  hand_ = hand;
  return inner->state != Flow::State::kIgnored;
}

void Engine::lose_inner(Direction direction) {
  Flow* const outer = flow_;
  if (!outer->inner) return;
  const Hand hand = std::exchange(hand_, {});
  flow_ = outer->inner.get();
  lose(*flow_, half_of(*flow_, direction), 0);
  flow_ = outer;
  hand_ = hand;
}

/// This half of the flow around it has ended.
void Engine::end_inner(Flow& flow, int from) {
  Flow* const outer = std::exchange(flow_, flow.inner.get());
  feed_end(*flow.inner, from);
  flow_ = outer;
}

void Engine::close_inner(Flow& flow, bool reset) {
  if (!flow.inner) return;
  InnerFlow& inner = *flow.inner;
  flow_ = &inner;
  last_chance(inner);
  if (!reset)
    for (int from = 0; from < 2; ++from) feed_end(inner, from);
  close_inner(inner, reset);
  flow_ = &inner;
  if (inner.session) inner.session->close(reset, *this);
  stop_awaiting(inner);
  for (Half& half : inner.half) drop_pending(half);
  forget_proxy_head(inner);
  flow.inner.reset();
  flow_ = &flow;
}

// ---- secrets ----

void Engine::await_secrets() {
  if (flow_->awaits || waiters_.size() >= kMostWaiters) return;
  flow_->awaits = true;
  waiters_.push_back({flow_, now_, secrets_seen_});
}

void Engine::stop_awaiting(Flow& flow) {
  if (!std::exchange(flow.awaits, false)) return;
  std::erase_if(waiters_, [&](const Waiter& w) { return w.flow == &flow; });
}

/// The waiter at that place, which waits no longer.
Engine::Waiter Engine::take_waiter(size_t at) {
  const Waiter waiter = waiters_[at];
  waiters_[at] = waiters_.back();
  waiters_.pop_back();
  waiter.flow->awaits = false;
  return waiter;
}

// Who is asked may close, and take others out of the list, or wait again, at its end. So the lists are walked from
// their ends: those to come stay before those that were.

/// Asks all that wait when there is something new. Those that go on waiting keep the time since when.
void Engine::look_for_secrets() {
  const tls::KeyLog* const log = options_.settings.key_log;
  if (log == nullptr || waiters_.empty() || log->version() == secrets_seen_) return;
  secrets_seen_ = log->version();
  for (size_t i = waiters_.size(); i-- > 0;) {
    if (i >= waiters_.size() || waiters_[i].asked == secrets_seen_) continue;
    const Waiter waiter = take_waiter(i);
    ask_again(*waiter.flow);
    if (!waiters_.empty() && waiters_.back().flow == waiter.flow) waiters_.back().since = waiter.since;
  }
}

/// Those that have waited for too long go on without.
void Engine::give_up_secrets() {
  for (size_t i = waiters_.size(); i-- > 0;) {
    if (i >= waiters_.size() || now_ - waiters_[i].since <= options_.secret_wait) continue;
    Flow& flow = *take_waiter(i).flow;
    flow_ = &flow;
    if (flow.session) flow.session->expire(now_ - options_.secret_wait, *this);
    ask_again(flow);
  }
}

/// Shows a flow's bytes to its session once more.
void Engine::ask_again(Flow& flow) {
  flow_ = &flow;
  for (Half& half : flow.half) half.stalled = false;
  pump(flow);
  Flow& outer = outermost(flow);
  flow_ = &outer;
  if (outer.closed || outer.key.transport != net::Transport::kTcp) return;
  check_ends(outer);
  if (!outer.closed && outer.list != Flow::List::kTcpClosed) file(outer);
}

}  // namespace baleen::dissect
