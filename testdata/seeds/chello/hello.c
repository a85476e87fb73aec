// A command in C: clang --target=wasm32-wasi --sysroot=/usr -O2 -o chello.wasm hello.c
#include <stdio.h>

int main(void) {
	char buffer[4096];
	size_t n;
	fputs("c says ", stdout);
	while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0)
		fwrite(buffer, 1, n, stdout);
	return 0;
}
