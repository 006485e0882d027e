/*
 * Between a program and fairlead-pac, which answers one question after the other until its input
 * ends.
 *
 *   → u32 length, script (once)      ← u8 'R', u32 0   or   'E', u32 length, sentence
 *   → u32 length, "URL\nHOST"        ← u8 'A', u32 length, the file's answer   or   'E' …
 *
 * Numbers are big-endian.
 */
#pragma once

#define PAC_SCRIPT_MAX (1024 * 1024)
#define PAC_QUESTION_MAX 4096
#define PAC_ANSWER_MAX 4096
#define PAC_RESIDENT_MAX (256ul << 20) /* bytes of the process; then it ends */
