#pragma once

namespace baleen::cmd {

// Standard output and standard error may be gone (a pager that was quit, a terminal that was closed) or full. Neither
// ends what the program does: what they do not take is dropped, and of standard output the exit code tells it.

/// Before anything is printed. From then on printing to stdout and stderr never fails.
void guard_standard_streams();

/// Of standard output, by whoever writes there without stdio: an errno. Any thread.
void note_output_failure(int error);

/// Flushes standard output and says what has become of it. Returns the program's exit code: `code`, or kFailed where
/// output was lost. A reader that has gone (EPIPE) has all that it wanted.
int finish_output(int code);

}  // namespace baleen::cmd
