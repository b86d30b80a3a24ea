// protobuf's headers pull <iostream> in, whose static object builds eight
// stream objects and a locale at each start of a program: 65 us and 20 kB of
// a shim that uses none of it. These definitions take the place of the
// library's (libstdc++'s ios_init, which is then not linked at all).
#include <ios>

std::ios_base::Init::Init() {}
std::ios_base::Init::~Init() {}
