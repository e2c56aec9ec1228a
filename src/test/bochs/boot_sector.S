/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The first sector of a disk that starts Linux: reads everything behind itself into memory at
 * KERNEL_ADDRESS, the kernel and then the initramfs, and enters the kernel.
 *
 * A boot loader and a compressed kernel would cost an emulated CPU more instructions than all that
 * Linux does before init. So the kernel is plain, lies in memory as it runs, and is entered in
 * 32-bit mode through PVH, whose rules are a few (Xen, docs/misc/pvh.pandoc). The disk is read with
 * ATA's READ SECTORS, 256 at a time: what lies behind the end is zeros.
 *
 * Wants KERNEL_ADDRESS, KERNEL_ENTRY, INITRAMFS_ADDRESS, INITRAMFS_BYTES, MEMORY_BYTES and
 * COMMAND_LINE. The firmware puts it at 0x7c00, where it is linked to.
 */
#define CHUNK_SECTORS 256
#define SECTOR_WORDS 256

#define ATA_DATA 0x1f0
#define ATA_SECTOR_COUNT 0x1f2
#define ATA_STATUS 0x1f7
#define ATA_LBA_OF_FIRST_DISK 0xe0
#define ATA_READ_SECTORS 0x20
#define ATA_BUSY 0x80
#define ATA_DATA_REQUEST 0x08

#define FAST_A20_PORT 0x92
#define FAST_A20 2

#define SEGMENT_CODE 8
#define SEGMENT_DATA 16

#define START_INFO_MAGIC 0x336ec578
#define MEMORY_RAM 1
#define LOW_MEMORY_BYTES 0x9f000
#define HIGH_MEMORY 0x100000
/* The firmware's ACPI tables are at the end of the memory. */
#define TABLES_BYTES 0x10000

.code16
    cli
    xorw %ax, %ax
    movw %ax, %ds
    inb $FAST_A20_PORT, %al
    orb $FAST_A20, %al
    outb %al, $FAST_A20_PORT
    lgdtl segments_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $SEGMENT_CODE, $protected

.code32
protected:
    movw $SEGMENT_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    cld
    movl $1, %ebx
    movl $KERNEL_ADDRESS, %edi

/* CHUNK_SECTORS (0 means 256) from number %ebx on to %edi. */
read_chunk:
    movw $ATA_SECTOR_COUNT, %dx
    movb $(CHUNK_SECTORS & 0xff), %al
    outb %al, %dx
    incl %edx
    movl %ebx, %eax
    outb %al, %dx
    incl %edx
    shrl $8, %eax
    outb %al, %dx
    incl %edx
    shrl $8, %eax
    outb %al, %dx
    incl %edx
    movb $ATA_LBA_OF_FIRST_DISK, %al
    outb %al, %dx
    incl %edx
    movb $ATA_READ_SECTORS, %al
    outb %al, %dx
    movl $CHUNK_SECTORS, %ebp
read_sector:
    movw $ATA_STATUS, %dx
wait_for_sector:
    inb %dx, %al
    andb $(ATA_BUSY | ATA_DATA_REQUEST), %al
    cmpb $ATA_DATA_REQUEST, %al
    jne wait_for_sector
    movw $ATA_DATA, %dx
    movl $SECTOR_WORDS, %ecx
    rep insw
    decl %ebp
    jnz read_sector
    addl $CHUNK_SECTORS, %ebx
    cmpl $(INITRAMFS_ADDRESS + INITRAMFS_BYTES), %edi
    jb read_chunk

    movl $start_info, %ebx
    movl $KERNEL_ENTRY, %eax
    jmp *%eax

.balign 8
segments:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
segments_pointer:
    .word . - segments - 1
    .long segments

/* struct hvm_start_info, version 1, and what it points to */
.balign 8
start_info:
    .long START_INFO_MAGIC, 1, 0, 1
    .quad modules, command_line, 0
    .quad memory
    .long 2, 0
modules:
    .quad INITRAMFS_ADDRESS, INITRAMFS_BYTES, 0, 0
memory:
    .quad 0, LOW_MEMORY_BYTES
    .long MEMORY_RAM, 0
    .quad HIGH_MEMORY, MEMORY_BYTES - HIGH_MEMORY - TABLES_BYTES
    .long MEMORY_RAM, 0
command_line:
    .asciz COMMAND_LINE

.org 510
    .byte 0x55, 0xaa
