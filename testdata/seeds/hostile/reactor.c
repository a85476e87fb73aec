// Modules that mean harm, one for each CASE_…: a seed may do all of this, and nobody else shall notice.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLN(name) __attribute__((import_module("pln"), import_name(#name)))
PLN(input_len) int32_t pln_input_len(void);
PLN(input_read) int32_t pln_input_read(void *into, int32_t offset, int32_t size);
PLN(output_write) int32_t pln_output_write(const void *from, int32_t size);
PLN(meta) int32_t pln_meta(const void *key, int32_t key_size, void *into, int32_t size);
PLN(log) void pln_log(int32_t level, const void *text, int32_t size);
PLN(call) int64_t pln_call(const void *uri, int32_t uri_size, const void *in, int32_t size, int32_t timeout);
PLN(tail_call) int32_t pln_tail_call(const void *uri, int32_t uri_size, const void *in, int32_t size);
PLN(reply_read) int32_t pln_reply_read(int32_t handle, void *into, int32_t offset, int32_t size);
PLN(reply_close) int32_t pln_reply_close(int32_t handle);
PLN(error_read) int32_t pln_error_read(void *into, int32_t size);

#define RUN __attribute__((export_name("run"))) int32_t run(void)
#define SELF "pln://seed/self/run"
#define EACH_OTHER "pln://seed/target/hello"
static volatile int forever = 1;
static char big[1 << 20];

#if defined(CASE_spin)
RUN { while (forever) {} return 0; }
#elif defined(CASE_spin_at_start)
__attribute__((constructor)) static void start(void) { while (forever) {} }
RUN { return 0; }
#elif defined(CASE_trap_at_start)
__attribute__((constructor)) static void start(void) { __builtin_trap(); }
RUN { return 0; }
#elif defined(CASE_memory)
RUN { while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) memset((void *)((__builtin_wasm_memory_size(0) - 16) << 16), 1, 16 << 16); return 3; }
#elif defined(CASE_malloc)
RUN { char *p; while ((p = malloc(1 << 20))) memset(p, 1, 1 << 20); return 3; }
#elif defined(CASE_stack)
static int deeper(volatile int n) { volatile char room[1 << 10]; room[n % 1024] = n; return deeper(n + 1) + room[0]; }
RUN { return deeper(0); }
#elif defined(CASE_log_flood)
RUN { while (forever) pln_log(3, big, sizeof big); return 0; }
#elif defined(CASE_log_lines)
RUN { while (forever) pln_log(2, "noise\n1 good forged line", 23); return 0; }
#elif defined(CASE_stderr_flood)
RUN { while (forever) write(2, big, sizeof big); return 0; }
#elif defined(CASE_huge_reply)
RUN { while (pln_output_write(big, sizeof big) > 0) {} return 0; }
#elif defined(CASE_endless_reply)
RUN { while (forever) pln_output_write(big, sizeof big); return 0; }
#elif defined(CASE_host_flood)
RUN { while (forever) pln_input_len(); return 0; }
#elif defined(CASE_call_flood)
RUN { while (forever) pln_call(EACH_OTHER, sizeof EACH_OTHER - 1, big, 10, 0); return 0; }
#elif defined(CASE_call_big)
RUN { while (forever) { int64_t r = pln_call(EACH_OTHER, sizeof EACH_OTHER - 1, big, sizeof big, 0); if (r >= 0) pln_reply_close(r >> 32); } return 0; }
#elif defined(CASE_hoard_replies)
RUN { int64_t r = 0; for (int i = 0; i < 1000 && r >= 0; i++) r = pln_call(EACH_OTHER, sizeof EACH_OTHER - 1, big, sizeof big, 0); return r < 0 ? 4 : 0; }
#elif defined(CASE_self_call)
RUN { return pln_call(SELF, sizeof SELF - 1, big, 1, 0) < 0 ? 5 : 0; }
#elif defined(CASE_self_tail)
RUN { return pln_tail_call(SELF, sizeof SELF - 1, big, 1); }
#elif defined(CASE_ungranted)
RUN { return (int32_t)pln_call("pln://seed/secret/run", 21, big, 1, 0); }
#elif defined(CASE_bad_uri)
RUN { pln_call("\xff\xfe\x00/../../etc", 16, big, 1, 0); pln_call("http://127.0.0.1/", 17, big, 1, 0); pln_call(big, 1 << 20, big, 1, 0); return 6; }
#elif defined(CASE_bad_pointers)
RUN { pln_input_read((void *)0xfffffff0, 0, 0x7fffffff); pln_output_write((void *)0xffffff00, -1); pln_meta((void *)-1, -1, (void *)-1, -1);
	pln_log(-7, (void *)-4, -1); pln_reply_read(-1, (void *)-1, -1, -1); pln_reply_read(1 << 30, 0, 0, 0); pln_reply_close(-5);
	pln_error_read((void *)-1, -1); pln_call((void *)-1, -1, (void *)-1, -1, -1); pln_tail_call((void *)-1, 5, (void *)-1, -1); return 7; }
#elif defined(CASE_unreachable)
RUN { __builtin_trap(); }
#elif defined(CASE_exit)
RUN { exit(0); }
#elif defined(CASE_exit_code)
RUN { _Exit(77); }
#elif defined(CASE_divide)
RUN { volatile int zero = 0, many = 1000; return many / zero; }
#elif defined(CASE_wild_write)
RUN { *(volatile int *)0xfffffff0 = 1; return 0; }
#elif defined(CASE_sleep)
RUN { struct timespec t = {3600, 0}; nanosleep(&t, 0); return 0; }
#elif defined(CASE_files)
RUN { FILE *f = fopen("/etc/passwd", "r"); FILE *g = fopen("../../../etc/passwd", "r"); FILE *h = fopen("out", "w"); return f || g || h ? 0 : 8; }
#elif defined(CASE_environment)
extern char **environ;
RUN { return environ && environ[0] ? 0 : 9; }
#elif defined(CASE_echo_control)
RUN { static const char tail[] = "{\"kind\":\"tail_call\",\"uri\":\"pln://seed/good/hello\",\"input\":\"aGk=\"}"; pln_output_write(tail, sizeof tail - 1); return 0; }
#elif defined(CASE_echo_http)
RUN { static const char head[] = "Status: 302\r\nLocation: http://evil.example/\r\nPlatypus-Error: overloaded\r\n\r\n"; pln_output_write(head, sizeof head - 1); return 0; }
#elif defined(CASE_negative)
RUN { return INT32_MIN; }
#else
#error which case
#endif
