//go:build entry

#include "textflag.h"

#define SIGNALS $0x304a07
#define RT_SIGPROCMASK $135

// phalanx_entry does what entry_amd64.s does.
TEXT phalanx_entry(SB), NOSPLIT|NOFRAME, $0
	MOVD  RT_SIGPROCMASK, R8
	MOVD  $0, R0
	MOVD  $0, R1
	SUB   $16, RSP, R2
	MOVD  $8, R3
	SVC
	MOVD  SIGNALS, R4
	MOVD  -16(RSP), R5
	AND   R4, R5
	CMP   R4, R5
	BEQ   keep
	MOVD  16(RSP), R5
	CBZ   R5, keep
	MOVBU (R5), R5
	SUB   $'a', R5
	CMP   $25, R5
	BLS   start

keep:
	MOVD  $runtime·sigtable(SB), R6
	MOVWU 24(R6), R5
	CMP   $3, R5
	BNE   start
	MOVWU 48(R6), R5
	CMP   $3, R5
	BNE   start
	MOVWU 72(R6), R5
	CMP   $5, R5
	BNE   start
	MOVWU 360(R6), R5
	CMP   $3, R5
	BNE   start
	MOVD  $1, R5
	MOVW  R5, 24(R6)
	MOVW  R5, 48(R6)
	MOVW  R5, 72(R6)
	MOVW  R5, 360(R6)
	MOVD  R4, -16(RSP)
	MOVD  $0, R0
	MOVD  R2, R1
	MOVD  $0, R2
	SVC

start:
	JMP _rt0_arm64_linux(SB)
