//go:build entry

#include "textflag.h"

#define SIGNALS $0x304a07 // SIGHUP, INT, QUIT, USR1, USR2, TERM, TTIN, TTOU
#define RT_SIGPROCMASK $14

// phalanx_entry is where the kernel starts the program; see signals.go.
TEXT phalanx_entry(SB), NOSPLIT|NOFRAME, $0
	MOVL RT_SIGPROCMASK, AX // (SIG_BLOCK, NULL, SP-8, 8)
	XORL DI, DI
	XORL SI, SI
	LEAQ -8(SP), DX
	MOVL $8, R10
	SYSCALL
	MOVL SIGNALS, AX
	MOVL -8(SP), BX
	ANDL AX, BX
	CMPL BX, AX
	JEQ  keep // executed by an upgrade
	MOVQ 16(SP), BX // the first argument, or NULL
	TESTQ BX, BX
	JZ   keep
	MOVBLZX (BX), BX
	SUBL $'a', BX
	CMPL BX, $25
	JLS  start // a command

keep:
	CMPL runtime·sigtable+24(SB), $3  // SIGHUP: _SigNotify + _SigKill
	JNE  start
	CMPL runtime·sigtable+48(SB), $3  // SIGINT
	JNE  start
	CMPL runtime·sigtable+72(SB), $5  // SIGQUIT: _SigNotify + _SigThrow
	JNE  start
	CMPL runtime·sigtable+360(SB), $3 // SIGTERM
	JNE  start
	MOVL $1, runtime·sigtable+24(SB)  // _SigNotify
	MOVL $1, runtime·sigtable+48(SB)
	MOVL $1, runtime·sigtable+72(SB)
	MOVL $1, runtime·sigtable+360(SB)
	MOVQ AX, -8(SP)
	MOVL RT_SIGPROCMASK, AX // (SIG_BLOCK, SP-8, NULL, 8)
	MOVQ DX, SI
	XORL DX, DX
	SYSCALL

start:
	JMP _rt0_amd64_linux(SB)
