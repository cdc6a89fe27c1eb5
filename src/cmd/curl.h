#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace baleen::cmd {

/// The command line that sends an HTTP item's request once more with curl(1), for a POSIX shell, with a line of comment
/// for what it cannot repeat. Nothing for items without an HTTP request. Whatever the request holds, the shell takes it
/// as words, and curl reads no file and goes to no other place because of it.
std::optional<std::string> curl_command(std::string_view item_json);

/// A word that a POSIX shell takes as it is.
std::string shell_word(std::string_view text);

}  // namespace baleen::cmd
