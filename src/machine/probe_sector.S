/* A boot sector that proves an accelerator works: the smallest guest there is.
 *
 * An openable /dev/kvm proves nothing (nested and hardened hosts hand it out and hang), so the provider boots this
 * with a deadline. The firmware loads it at 0x7c00; it builds page tables, goes from real to 64-bit mode, runs a
 * loop long enough to be interrupted and rescheduled, and leaves through QEMU's isa-debug-exit port with a number
 * that only a processor in long mode which computed the loop's result can have written: exit status 2·0x2a + 1.
 *
 * Intel SDM vol. 3A §10.8.5 (entering IA-32e mode); the three tables map the first 2 MiB. */
	.section .rodata
	.globl moosh_probe_sector
	.type moosh_probe_sector, @object
	.balign 16
	.set LOADED, 0x7c00
	.set PML4, 0x1000
	.set PDPT, 0x2000
	.set PD, 0x3000
moosh_probe_sector:
	.code16
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $LOADED, %sp
	cld
	movw $PML4, %di
	movw $(3 * 4096 / 2), %cx
	rep stosw
	movw $(PDPT | 3), (PML4)
	movw $(PD | 3), (PDPT)
	movw $0x83, (PD)		/* present, writable, 2 MiB page */
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	lgdt (LOADED + gdt_pointer - moosh_probe_sector)
	movl %cr0, %eax
	orl $0x80000001, %eax		/* paging and protection at once */
	movl %eax, %cr0
	ljmp $8, $(LOADED + long_mode - moosh_probe_sector)

	.code64
long_mode:
	movq $0x123456789abcdef1, %rax
	movl $2000000, %ecx
1:	movq %rax, %rdx			/* xorshift64: needs all 64 bits of the registers */
	shlq $13, %rdx
	xorq %rdx, %rax
	movq %rax, %rdx
	shrq $7, %rdx
	xorq %rdx, %rax
	movq %rax, %rdx
	shlq $17, %rdx
	xorq %rdx, %rax
	decl %ecx
	jnz 1b
	movabsq $0xf976fb981e62f9c0, %rdx
	cmpq %rdx, %rax
	movl $0x2a, %eax
	je 2f
	movl $0x01, %eax
2:	outb %al, $0xf4
3:	hlt
	jmp 3b

	.balign 8
gdt:
	.quad 0
	.quad 0x00209a0000000000	/* 64-bit code, ring 0 */
gdt_pointer:
	.word . - gdt - 1
	.long LOADED + gdt - moosh_probe_sector

	.org moosh_probe_sector + 510
	.byte 0x55, 0xaa
	.size moosh_probe_sector, 512
	.section .note.GNU-stack, "", @progbits
