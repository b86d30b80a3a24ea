# Checks of the tree itself: ctest -L lint.
set(LINT ${CMAKE_CURRENT_SOURCE_DIR}/lint)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(warren_lint name script)
  add_test(NAME lint.${name} COMMAND Python3::Interpreter ${LINT}/${script}
    ${ARGN})
  set_tests_properties(lint.${name} PROPERTIES LABELS lint TIMEOUT 600
    SKIP_RETURN_CODE 77 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endfunction()

warren_lint(includes includes.py)
warren_lint(calls calls.py)
warren_lint(layout layout.py)
warren_lint(docs docs.py)
warren_lint(format format.py)
warren_lint(fields fields.py)
warren_lint(options options.py)
warren_lint(shell shell.py)
warren_lint(unit_file unit_file.py)
warren_lint(security security.py)
warren_lint(self_test lint_test.py)
warren_lint(docs_self_test docs_test.py)
warren_lint(thread_safety_self_test thread_safety_test.py)
warren_lint(thread_safety thread_safety.py --build ${CMAKE_BINARY_DIR})
set_tests_properties(lint.thread_safety PROPERTIES RUN_SERIAL TRUE)
warren_lint(tidy tidy.py --build ${CMAKE_BINARY_DIR})
set_tests_properties(lint.tidy PROPERTIES RUN_SERIAL TRUE)
