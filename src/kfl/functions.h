#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kfl/program.h"
#include "kfl/types.h"

namespace baleen::kfl {

/// A form in which a function of CEL can be called. A receiver is the first parameter.
struct Overload {
  bool receiver = false;
  std::vector<const Type*> parameters;
  const Type* result = nullptr;
};

/// A function of CEL. The overloads are for the checker; `run` looks at the kinds of what it gets by itself.
struct Function {
  std::string_view name;
  Datum (*run)(std::span<const Datum> args, Context& context) = nullptr;
  std::vector<Overload> overloads;
  std::string_view doc;
  std::vector<std::string_view> signatures;
};

/// Null when there is none of that name ("size", "math.greatest").
const Function* function_named(std::string_view name);
std::span<const Function> all_functions();

/// "list(A)", "map(string, int)", "A": a type as signatures write it. Types live as long as the process.
const Type* parse_type(std::string_view text);

/// "f(int) -> int; string.f() -> bool" as overloads.
std::vector<Overload> parse_signatures(std::string_view name, std::string_view signatures);

/// A row of the tables from which the functions are made: signatures are separated by ';'.
struct FunctionRow {
  std::string_view name;
  std::string_view signatures;
  Datum (*run)(std::span<const Datum> args, Context& context);
  std::string_view doc;
};
std::span<const FunctionRow> core_functions();
std::span<const FunctionRow> text_functions();
std::span<const FunctionRow> math_functions();
std::span<const FunctionRow> time_functions();

}  // namespace baleen::kfl
