// Preloaded into a process under test: its clocks run `factor` times as fast as ours, and its wall clock is `jump` seconds
// off. Both stand in a file of two doubles that FAST_CLOCK names, and may change while the process runs. What sleeps, or
// waits for a condition with a deadline, wakes by these clocks. (libfaketime knows no pthread_cond_clockwait, with which
// libstdc++ waits.) Timeouts of poll() and the like are left as they are.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct settings {
  volatile double factor, jump;
};
static struct settings normal = {1, 0};
static struct settings* settings = &normal;
/// Where both clocks stood when the factor was last changed; never changed itself, never freed.
struct base {
  int64_t real, fake;  // nanoseconds
  double factor;
};
static struct base first = {0, 0, 1};
static struct base* _Atomic base = &first;
static int64_t wall_offset;

static int64_t ns_of(const struct timespec* t) { return t->tv_sec * 1000000000LL + t->tv_nsec; }
static struct timespec timespec_of(int64_t ns) { return (struct timespec){ns / 1000000000, ns % 1000000000}; }

static int64_t real_ns(clockid_t clock) {
  struct timespec t;
  syscall(SYS_clock_gettime, clock, &t);
  return ns_of(&t);
}

__attribute__((constructor)) static void begin(void) {
  first.real = first.fake = real_ns(CLOCK_MONOTONIC);
  wall_offset = real_ns(CLOCK_REALTIME) - first.real;
  const char* name = getenv("FAST_CLOCK");
  const int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* memory = mmap(NULL, sizeof(struct settings), PROT_READ, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) settings = memory;
  close(fd);
}

/// The monotonic clock as the process sees it.
static int64_t fake_ns(void) {
  struct base* now = base;
  const int64_t real = real_ns(CLOCK_MONOTONIC);
  const int64_t fake = now->fake + (int64_t)((double)(real - now->real) * now->factor);
  if (settings->factor != now->factor) {
    struct base* next = malloc(sizeof *next);
    *next = (struct base){real, fake, settings->factor};
    if (!__atomic_compare_exchange_n((struct base**)&base, &now, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) free(next);
  }
  return fake;
}

static int64_t wall_ns(void) { return fake_ns() + wall_offset + (int64_t)(settings->jump * 1e9); }

int clock_gettime(clockid_t clock, struct timespec* out) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: *out = timespec_of(wall_ns()); return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME: *out = timespec_of(fake_ns()); return 0;
    default: return (int)syscall(SYS_clock_gettime, clock, out);
  }
}

time_t time(time_t* out) {
  const time_t seconds = wall_ns() / 1000000000;
  if (out != NULL) *out = seconds;
  return seconds;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  (void)zone;
  const int64_t ns = wall_ns();
  *out = (struct timeval){ns / 1000000000, ns % 1000000000 / 1000};
  return 0;
}

/// What a wait of so much of the process's time is in ours, at most a tenth of a second: settings may change meanwhile.
static int64_t slice(int64_t fake) {
  const double real = (double)fake / settings->factor;
  return real > 1e8 ? 100000000 : real < 1 ? 1 : (int64_t)real;
}

static int sleep_until(int64_t end) {
  for (int64_t left; (left = end - fake_ns()) > 0;) {
    const struct timespec t = timespec_of(slice(left));
    if (syscall(SYS_nanosleep, &t, NULL) != 0) return errno;
  }
  return 0;
}

int nanosleep(const struct timespec* wanted, struct timespec* left) {
  if (left != NULL) *left = (struct timespec){0, 0};
  const int error = sleep_until(fake_ns() + ns_of(wanted));
  return error == 0 ? 0 : (errno = error, -1);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec* wanted, struct timespec* left) {
  if (left != NULL) *left = (struct timespec){0, 0};
  if (!(flags & TIMER_ABSTIME)) return sleep_until(fake_ns() + ns_of(wanted));
  const int64_t now = clock == CLOCK_REALTIME ? wall_ns() : fake_ns();
  return sleep_until(fake_ns() + ns_of(wanted) - now);
}

int usleep(useconds_t wanted) { return sleep_until(fake_ns() + wanted * 1000LL) == 0 ? 0 : -1; }

/// A slice that ends too early is a spurious wakeup: whoever waits asks again.
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const struct timespec* end) {
  static int (*real)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  const int64_t left = ns_of(end) - (clock == CLOCK_REALTIME ? wall_ns() : fake_ns());
  if (left <= 0) return ETIMEDOUT;
  const struct timespec until = timespec_of(real_ns(CLOCK_MONOTONIC) + slice(left));
  const int outcome = real(condition, mutex, CLOCK_MONOTONIC, &until);
  return outcome == ETIMEDOUT ? 0 : outcome;
}

int pthread_cond_timedwait(pthread_cond_t* restrict condition, pthread_mutex_t* restrict mutex,
                           const struct timespec* restrict end) {
  return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, end);
}
