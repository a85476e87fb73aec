// A reactor in C: clang --target=wasm32-wasi --sysroot=/usr -O2 -mexec-model=reactor -o creactor.wasm reactor.c
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#define PLN(name) __attribute__((import_module("pln"), import_name(#name)))
PLN(input_len) int32_t pln_input_len(void);
PLN(input_read) int32_t pln_input_read(char *into, int32_t offset, int32_t size);
PLN(output_write) int32_t pln_output_write(const char *from, int32_t size);

__attribute__((export_name("shout"))) int32_t shout(void) {
	int32_t size = pln_input_len();
	char *text = malloc(size ? size : 1);
	if (!text)
		return 1;
	pln_input_read(text, 0, size);
	for (int32_t i = 0; i < size; i++)
		text[i] = toupper((unsigned char)text[i]);
	pln_output_write(text, size);
	free(text);
	return 0;
}

static int calls;

__attribute__((export_name("count"))) int32_t count(void) {
	char digit = '0' + ++calls % 10;
	pln_output_write(&digit, 1);
	return 0;
}

__attribute__((export_name("nothing"))) int32_t nothing(void) { return 0; }
