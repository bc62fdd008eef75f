; AMX in software: a handler of SIGILL that executes the tile instructions for the thread that met them, and what
; threads call first so that they have it. For Linux on x86-64, compiled with AVX2 and FMA.
;
; A thread's state lies where GS points:
;
;      0  i64       its own address
;     64  8 × 1024  tiles, rows of 64 bytes
;   8256  8 × i64   rows of each tile; 0 for none
;   8320  8 × i64   bytes of a row
;   8384  i64       1 while tiles are configured
;   8392  i64       instructions that were wrong: shapes that do not fit, tiles without one
;   8400  i64       instructions executed
;   8408  i64       1 if a wrong instruction ends the process

%state = type [8448 x i8]

; gregs maps numbers of registers (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 …) to their places in a signal's frame.
@gregs = private constant [16 x i64] [i64 13, i64 14, i64 12, i64 11, i64 15, i64 10, i64 9, i64 8, i64 0, i64 1, i64 2, i64 3, i64 4, i64 5, i64 6, i64 7]
@wrong = private constant [41 x i8] c"a tile instruction is wrong or not known\0A"

declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare void @llvm.x86.sse.ldmxcsr(i8*)

define internal i64 @syscall(i64 %n, i64 %a, i64 %b, i64 %c, i64 %d) noinline {
  %r = call i64 asm sideeffect "movq $5, %r10; syscall", "={rax},{rax},{rdi},{rsi},{rdx},r,~{rcx},~{r10},~{r11},~{memory}"(i64 %n, i64 %a, i64 %b, i64 %c, i64 %d)
  ret i64 %r
}

; restore ends a handler.
define internal void @restore() naked noinline {
  call void asm sideeffect "movl $$15, %eax; syscall", "~{rax}"()
  unreachable
}

; clear sets n bytes to zero, 64 at a time.
define internal void @clear(i8* %p, i64 %n) noinline {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i1, %next ]
  %b = getelementptr i8, i8* %p, i64 %i
  %v = bitcast i8* %b to <64 x i8>*
  store volatile <64 x i8> zeroinitializer, <64 x i8>* %v, align 1
  %i1 = add i64 %i, 64
  %more = icmp ult i64 %i1, %n
  br i1 %more, label %next, label %done
done:
  ret void
}

; enter gives the calling thread a state and the handler.
define internal void @enter(i8* %s, i64 %fatal) noinline {
  call void @clear(i8* %s, i64 8448)
  %self = bitcast i8* %s to i64*
  %at = ptrtoint i8* %s to i64
  store i64 %at, i64* %self
  %f.p = getelementptr i64, i64* %self, i64 1051
  store i64 %fatal, i64* %f.p
  %act = alloca [4 x i64], align 16
  %h.p = getelementptr [4 x i64], [4 x i64]* %act, i64 0, i64 0
  store i64 ptrtoint (void (i32, i8*, i8*)* @handle to i64), i64* %h.p
  %fl.p = getelementptr [4 x i64], [4 x i64]* %act, i64 0, i64 1
  store i64 1140850692, i64* %fl.p ; SA_NODEFER | SA_RESTORER | SA_SIGINFO
  %r.p = getelementptr [4 x i64], [4 x i64]* %act, i64 0, i64 2
  store i64 ptrtoint (void ()* @restore to i64), i64* %r.p
  %m.p = getelementptr [4 x i64], [4 x i64]* %act, i64 0, i64 3
  store i64 8, i64* %m.p
  %act.i = ptrtoint [4 x i64]* %act to i64
  %mask.i = ptrtoint i64* %m.p to i64
  %1 = call i64 @syscall(i64 13, i64 4, i64 %act.i, i64 0, i64 8) ; rt_sigaction(SIGILL)
  store i64 8, i64* %m.p
  %2 = call i64 @syscall(i64 14, i64 1, i64 %mask.i, i64 0, i64 8) ; rt_sigprocmask(SIG_UNBLOCK, SIGILL)
  %3 = call i64 @syscall(i64 158, i64 4097, i64 %at, i64 0, i64 0) ; arch_prctl(ARCH_SET_GS)
  ret void
}

; fault counts a wrong instruction, or ends the process.
define internal void @fault(i8* %s) noinline {
  %w = bitcast i8* %s to i64*
  %n.p = getelementptr i64, i64* %w, i64 1049
  %n = load i64, i64* %n.p
  %n1 = add i64 %n, 1
  store i64 %n1, i64* %n.p
  %f.p = getelementptr i64, i64* %w, i64 1051
  %f = load i64, i64* %f.p
  %ends = icmp ne i64 %f, 0
  br i1 %ends, label %end, label %go
end:
  call void @die()
  ret void
go:
  ret void
}

define internal void @die() noinline {
  %1 = call i64 @syscall(i64 1, i64 2, i64 ptrtoint ([41 x i8]* @wrong to i64), i64 41, i64 0)
  %2 = call i64 @syscall(i64 231, i64 132, i64 0, i64 0, i64 0)
  unreachable
}

; register reads a register of the interrupted thread.
define internal i64 @register(i8* %uc, i64 %number) {
  %p = getelementptr [16 x i64], [16 x i64]* @gregs, i64 0, i64 %number
  %i = load i64, i64* %p
  %regs = getelementptr i8, i8* %uc, i64 40
  %all = bitcast i8* %regs to i64*
  %r.p = getelementptr i64, i64* %all, i64 %i
  %r = load i64, i64* %r.p
  ret i64 %r
}

; operand decodes what ModR/M, SIB and displacement say: the address without the index, the index times its scale, and
; the bytes of the instruction.
define internal {i64, i64, i64} @operand(i8* %ip, i8* %uc) noinline {
  %b1.p = getelementptr i8, i8* %ip, i64 1
  %b1.8 = load i8, i8* %b1.p
  %b1 = zext i8 %b1.8 to i64
  %inv = xor i64 %b1, -1
  %x.6 = lshr i64 %inv, 6
  %x.1 = and i64 %x.6, 1
  %x = shl i64 %x.1, 3
  %b.5 = lshr i64 %inv, 5
  %b.1 = and i64 %b.5, 1
  %b = shl i64 %b.1, 3
  %m.p = getelementptr i8, i8* %ip, i64 4
  %m.8 = load i8, i8* %m.p
  %m = zext i8 %m.8 to i64
  %mod = lshr i64 %m, 6
  %rm = and i64 %m, 7
  %has = icmp eq i64 %rm, 4
  br i1 %has, label %sib, label %plain
sib:
  %s.p = getelementptr i8, i8* %ip, i64 5
  %s.8 = load i8, i8* %s.p
  %s = zext i8 %s.8 to i64
  %s.base = and i64 %s, 7
  %s.i3 = lshr i64 %s, 3
  %s.i = and i64 %s.i3, 7
  %s.index = or i64 %s.i, %x
  %scale = lshr i64 %s, 6
  %i.r = call i64 @register(i8* %uc, i64 %s.index)
  %i.s = shl i64 %i.r, %scale
  %none = icmp eq i64 %s.index, 4
  %i.v = select i1 %none, i64 0, i64 %i.s
  br label %joined
plain:
  br label %joined
joined:
  %base = phi i64 [ %s.base, %sib ], [ %rm, %plain ]
  %index = phi i64 [ %i.v, %sib ], [ 0, %plain ]
  %at = phi i64 [ 6, %sib ], [ 5, %plain ]
  %number = or i64 %base, %b
  %base.r = call i64 @register(i8* %uc, i64 %number)
  %five = icmp eq i64 %base, 5
  %mod0 = icmp eq i64 %mod, 0
  %mod1 = icmp eq i64 %mod, 1
  %no.base = and i1 %five, %mod0
  %mod2 = icmp eq i64 %mod, 2
  %wide = or i1 %mod2, %no.base
  %d.p = getelementptr i8, i8* %ip, i64 %at
  %d32.p = bitcast i8* %d.p to i32*
  %d.8 = load i8, i8* %d.p
  %d8 = sext i8 %d.8 to i64
  %d.32 = load i32, i32* %d32.p, align 1
  %d32 = sext i32 %d.32 to i64
  %d.a = select i1 %mod1, i64 %d8, i64 0
  %d = select i1 %wide, i64 %d32, i64 %d.a
  %n.a = select i1 %mod1, i64 1, i64 0
  %n = select i1 %wide, i64 4, i64 %n.a
  %len = add i64 %at, %n
  %ip.i = ptrtoint i8* %ip to i64
  %next = add i64 %ip.i, %len
  %rip = select i1 %has, i64 0, i64 %next
  %from = select i1 %no.base, i64 %rip, i64 %base.r
  %address = add i64 %from, %d
  %1 = insertvalue {i64, i64, i64} undef, i64 %address, 0
  %2 = insertvalue {i64, i64, i64} %1, i64 %index, 1
  %3 = insertvalue {i64, i64, i64} %2, i64 %len, 2
  ret {i64, i64, i64} %3
}

; configure takes shapes from 64 bytes.
define internal void @configure(i8* %s, i8* %c) noinline {
  %tiles = getelementptr i8, i8* %s, i64 64
  call void @clear(i8* %tiles, i64 8192)
  %w = bitcast i8* %s to i64*
  %on = getelementptr i64, i64* %w, i64 1048
  store i64 1, i64* %on
  %palette = load i8, i8* %c
  %bad.p = icmp ne i8 %palette, 1
  br i1 %bad.p, label %bad, label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %i1, %next ]
  %r.at = add i64 %i, 48
  %r.p = getelementptr i8, i8* %c, i64 %r.at
  %r.8 = load i8, i8* %r.p
  %r = zext i8 %r.8 to i64
  %b.2 = shl i64 %i, 1
  %b.at = add i64 %b.2, 16
  %b.p = getelementptr i8, i8* %c, i64 %b.at
  %b16.p = bitcast i8* %b.p to i16*
  %b.16 = load i16, i16* %b16.p, align 1
  %b = zext i16 %b.16 to i64
  %rows.i = add i64 %i, 1032
  %rows.p = getelementptr i64, i64* %w, i64 %rows.i
  store i64 %r, i64* %rows.p
  %bytes.i = add i64 %i, 1040
  %bytes.p = getelementptr i64, i64* %w, i64 %bytes.i
  store i64 %b, i64* %bytes.p
  %many = icmp ugt i64 %r, 16
  %long = icmp ugt i64 %b, 64
  %r0 = icmp eq i64 %r, 0
  %b0 = icmp eq i64 %b, 0
  %half = icmp ne i1 %r0, %b0
  %either = or i1 %many, %long
  %wrong = or i1 %either, %half
  br i1 %wrong, label %bad, label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, 8
  br i1 %more, label %loop, label %done
bad:
  call void @fault(i8* %s)
  store i64 0, i64* %on
  ret void
done:
  ret void
}

define internal i64 @rows(i8* %s, i64 %t) {
  %w = bitcast i8* %s to i64*
  %i = add i64 %t, 1032
  %p = getelementptr i64, i64* %w, i64 %i
  %v = load i64, i64* %p
  %on.p = getelementptr i64, i64* %w, i64 1048
  %on = load i64, i64* %on.p
  %r = mul i64 %v, %on
  ret i64 %r
}

define internal i64 @bytes(i8* %s, i64 %t) {
  %w = bitcast i8* %s to i64*
  %i = add i64 %t, 1040
  %p = getelementptr i64, i64* %w, i64 %i
  %v = load i64, i64* %p
  ret i64 %v
}

define internal i8* @tile(i8* %s, i64 %t) {
  %o = shl i64 %t, 10
  %at = add i64 %o, 64
  %p = getelementptr i8, i8* %s, i64 %at
  ret i8* %p
}

; move copies a tile from memory, or to it.
define internal void @move(i8* %s, i64 %t, i8* %memory, i64 %stride, i1 %store) noinline {
  %rows = call i64 @rows(i8* %s, i64 %t)
  %bytes = call i64 @bytes(i8* %s, i64 %t)
  %tile = call i8* @tile(i8* %s, i64 %t)
  %none = icmp eq i64 %rows, 0
  br i1 %none, label %bad, label %row
bad:
  call void @fault(i8* %s)
  ret void
row:
  %r = phi i64 [ 0, %0 ], [ %r1, %row.end ]
  %m.o = mul i64 %r, %stride
  %m = getelementptr i8, i8* %memory, i64 %m.o
  %t.o = shl i64 %r, 6
  %p = getelementptr i8, i8* %tile, i64 %t.o
  %from = select i1 %store, i8* %p, i8* %m
  %to = select i1 %store, i8* %m, i8* %p
  %whole = icmp eq i64 %bytes, 64
  br i1 %whole, label %line, label %byte
line:
  %from.v = bitcast i8* %from to <64 x i8>*
  %to.v = bitcast i8* %to to <64 x i8>*
  %v = load <64 x i8>, <64 x i8>* %from.v, align 1
  store <64 x i8> %v, <64 x i8>* %to.v, align 1
  br label %row.end
byte:
  %b = phi i64 [ 0, %row ], [ %b1, %byte ]
  %f.p = getelementptr i8, i8* %from, i64 %b
  %t.p = getelementptr i8, i8* %to, i64 %b
  %x = load i8, i8* %f.p
  store i8 %x, i8* %t.p
  %b1 = add i64 %b, 1
  %b.more = icmp ult i64 %b1, %bytes
  br i1 %b.more, label %byte, label %row.end
row.end:
  %r1 = add i64 %r, 1
  %more = icmp ult i64 %r1, %rows
  br i1 %more, label %row, label %done
done:
  ret void
}

; fours adds to C the products of bytes.
define internal void @fours(i8* %c, i8* %a, i8* %b, i64 %rows, i64 %ks, i1 %as, i1 %bs) noinline {
  br label %row
row:
  %m = phi i64 [ 0, %0 ], [ %m1, %row.end ]
  %o = shl i64 %m, 6
  %c.p = getelementptr i8, i8* %c, i64 %o
  %c.v = bitcast i8* %c.p to <16 x i32>*
  %start = load <16 x i32>, <16 x i32>* %c.v, align 1
  %a.p = getelementptr i8, i8* %a, i64 %o
  br label %word
word:
  %k = phi i64 [ 0, %row ], [ %k1, %word.end ]
  %sum = phi <16 x i32> [ %start, %row ], [ %sum2, %word.end ]
  %b.o = shl i64 %k, 6
  %b.p = getelementptr i8, i8* %b, i64 %b.o
  %b.v = bitcast i8* %b.p to <16 x i32>*
  %w = load <16 x i32>, <16 x i32>* %b.v, align 1
  br label %byte
byte:
  %j = phi i32 [ 0, %word ], [ %j1, %byte ]
  %sum1 = phi <16 x i32> [ %sum, %word ], [ %sum2, %byte ]
  %j8 = shl i32 %j, 3
  %up = sub i32 24, %j8
  %up.1 = insertelement <16 x i32> undef, i32 %up, i32 0
  %up.v = shufflevector <16 x i32> %up.1, <16 x i32> undef, <16 x i32> zeroinitializer
  %top = shl <16 x i32> %w, %up.v
  %y.s = ashr <16 x i32> %top, <i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24>
  %y.u = lshr <16 x i32> %top, <i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24, i32 24>
  %y = select i1 %bs, <16 x i32> %y.s, <16 x i32> %y.u
  %k4 = shl i64 %k, 2
  %j.64 = zext i32 %j to i64
  %x.o = add i64 %k4, %j.64
  %x.p = getelementptr i8, i8* %a.p, i64 %x.o
  %x.8 = load i8, i8* %x.p
  %x.s = sext i8 %x.8 to i32
  %x.u = zext i8 %x.8 to i32
  %x = select i1 %as, i32 %x.s, i32 %x.u
  %x.1 = insertelement <16 x i32> undef, i32 %x, i32 0
  %x.v = shufflevector <16 x i32> %x.1, <16 x i32> undef, <16 x i32> zeroinitializer
  %p = mul <16 x i32> %x.v, %y
  %sum2 = add <16 x i32> %sum1, %p
  %j1 = add i32 %j, 1
  %j.more = icmp ult i32 %j1, 4
  br i1 %j.more, label %byte, label %word.end
word.end:
  %k1 = add i64 %k, 1
  %k.more = icmp ult i64 %k1, %ks
  br i1 %k.more, label %word, label %row.end
row.end:
  store <16 x i32> %sum2, <16 x i32>* %c.v, align 1
  %m1 = add i64 %m, 1
  %m.more = icmp ult i64 %m1, %rows
  br i1 %m.more, label %row, label %done
done:
  ret void
}

; pairs adds to C the products of bfloat16, the even and the odd ones apart, and the two sums. The processor flushes
; subnormal floats meanwhile.
define internal void @pairs(i8* %c, i8* %a, i8* %b, i64 %rows, i64 %ks) noinline {
  %csr = alloca i32
  store i32 40896, i32* %csr
  %csr.p = bitcast i32* %csr to i8*
  call void @llvm.x86.sse.ldmxcsr(i8* %csr.p)
  br label %row
row:
  %m = phi i64 [ 0, %0 ], [ %m1, %row.end ]
  %o = shl i64 %m, 6
  %a.p = getelementptr i8, i8* %a, i64 %o
  br label %word
word:
  %k = phi i64 [ 0, %row ], [ %k1, %word ]
  %even = phi <16 x float> [ zeroinitializer, %row ], [ %even1, %word ]
  %odd = phi <16 x float> [ zeroinitializer, %row ], [ %odd1, %word ]
  %b.o = shl i64 %k, 6
  %b.p = getelementptr i8, i8* %b, i64 %b.o
  %b.v = bitcast i8* %b.p to <16 x i32>*
  %w = load <16 x i32>, <16 x i32>* %b.v, align 1
  %w.e = shl <16 x i32> %w, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
  %w.o = and <16 x i32> %w, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
  %y.e = bitcast <16 x i32> %w.e to <16 x float>
  %y.o = bitcast <16 x i32> %w.o to <16 x float>
  %x.o4 = shl i64 %k, 2
  %x.p = getelementptr i8, i8* %a.p, i64 %x.o4
  %x.w = bitcast i8* %x.p to i32*
  %x = load i32, i32* %x.w, align 1
  %x.1 = insertelement <16 x i32> undef, i32 %x, i32 0
  %x.v = shufflevector <16 x i32> %x.1, <16 x i32> undef, <16 x i32> zeroinitializer
  %x.ei = shl <16 x i32> %x.v, <i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16, i32 16>
  %x.oi = and <16 x i32> %x.v, <i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536, i32 -65536>
  %x.e = bitcast <16 x i32> %x.ei to <16 x float>
  %x.o = bitcast <16 x i32> %x.oi to <16 x float>
  %even1 = call <16 x float> @llvm.fma.v16f32(<16 x float> %x.e, <16 x float> %y.e, <16 x float> %even)
  %odd1 = call <16 x float> @llvm.fma.v16f32(<16 x float> %x.o, <16 x float> %y.o, <16 x float> %odd)
  %k1 = add i64 %k, 1
  %k.more = icmp ult i64 %k1, %ks
  br i1 %k.more, label %word, label %row.end
row.end:
  %c.p = getelementptr i8, i8* %c, i64 %o
  %c.v = bitcast i8* %c.p to <16 x float>*
  %c.0 = load <16 x float>, <16 x float>* %c.v, align 1
  %both = fadd <16 x float> %even1, %odd1
  %c.1 = fadd <16 x float> %c.0, %both
  store <16 x float> %c.1, <16 x float>* %c.v, align 1
  %m1 = add i64 %m, 1
  %m.more = icmp ult i64 %m1, %rows
  br i1 %m.more, label %row, label %done
done:
  store i32 8064, i32* %csr
  call void @llvm.x86.sse.ldmxcsr(i8* %csr.p)
  ret void
}

define internal void @handle(i32 %signal, i8* %info, i8* %uc) noinline {
  %s.i = load i64, i64 addrspace(256)* null
  %s = inttoptr i64 %s.i to i8*
  %ip.b = getelementptr i8, i8* %uc, i64 168
  %ip.p = bitcast i8* %ip.b to i8**
  %ip = load i8*, i8** %ip.p
  %head.p = bitcast i8* %ip to i32*
  %head = load i32, i32* %head.p, align 1
  %fixed = and i32 %head, 8658943 ; 0x841fff: VEX, map 0F38, W0, 128 bits
  %known = icmp eq i32 %fixed, 708
  br i1 %known, label %decode, label %unknown
decode:
  %w = bitcast i8* %s to i64*
  %count.p = getelementptr i64, i64* %w, i64 1050
  %count = load i64, i64* %count.p
  %count1 = add i64 %count, 1
  store i64 %count1, i64* %count.p
  %op = lshr i32 %head, 24
  %b2 = lshr i32 %head, 16
  %pp = and i32 %b2, 3
  %b2.inv = xor i32 %b2, -1
  %v.3 = lshr i32 %b2.inv, 3
  %v.32 = and i32 %v.3, 15
  %v = zext i32 %v.32 to i64
  %m.p = getelementptr i8, i8* %ip, i64 4
  %m.8 = load i8, i8* %m.p
  %m = zext i8 %m.8 to i64
  %mod = lshr i64 %m, 6
  %reg.3 = lshr i64 %m, 3
  %reg = and i64 %reg.3, 7
  %rm = and i64 %m, 7
  %register = icmp eq i64 %mod, 3
  %what.1 = shl i32 %op, 4
  %r.32 = zext i1 %register to i32
  %what.2 = shl i32 %r.32, 3
  %what.3 = or i32 %what.1, %what.2
  %what = or i32 %what.3, %pp
  ; opcode, whether both operands are registers (8), and the prefix of the instruction
  switch i32 %what, label %unknown [
    i32 1168, label %config
    i32 1176, label %release
    i32 1179, label %zero
    i32 1203, label %load
    i32 1201, label %load
    i32 1202, label %store
    i32 1512, label %dot
    i32 1513, label %dot
    i32 1514, label %dot
    i32 1515, label %dot
    i32 1482, label %dot
  ]
config:
  %c.o = call {i64, i64, i64} @operand(i8* %ip, i8* %uc)
  %c.base = extractvalue {i64, i64, i64} %c.o, 0
  %c.index = extractvalue {i64, i64, i64} %c.o, 1
  %c.len = extractvalue {i64, i64, i64} %c.o, 2
  %c.at = add i64 %c.base, %c.index
  %c.p = inttoptr i64 %c.at to i8*
  call void @configure(i8* %s, i8* %c.p)
  br label %end
release:
  %on = getelementptr i64, i64* %w, i64 1048
  store i64 0, i64* %on
  br label %end
zero:
  %z.rows = call i64 @rows(i8* %s, i64 %reg)
  %z.bad = icmp eq i64 %z.rows, 0
  br i1 %z.bad, label %bad, label %zero.do
zero.do:
  %z.tile = call i8* @tile(i8* %s, i64 %reg)
  call void @clear(i8* %z.tile, i64 1024)
  br label %end
load:
  br label %store
store:
  %is.store = phi i1 [ false, %load ], [ true, %decode ]
  %l.o = call {i64, i64, i64} @operand(i8* %ip, i8* %uc)
  %l.base = extractvalue {i64, i64, i64} %l.o, 0
  %l.index = extractvalue {i64, i64, i64} %l.o, 1
  %l.len = extractvalue {i64, i64, i64} %l.o, 2
  %l.p = inttoptr i64 %l.base to i8*
  call void @move(i8* %s, i64 %reg, i8* %l.p, i64 %l.index, i1 %is.store)
  br label %end
dot:
  %c.rows = call i64 @rows(i8* %s, i64 %reg)
  %a.rows = call i64 @rows(i8* %s, i64 %rm)
  %b.rows = call i64 @rows(i8* %s, i64 %v)
  %c.bytes = call i64 @bytes(i8* %s, i64 %reg)
  %a.bytes = call i64 @bytes(i8* %s, i64 %rm)
  %b.bytes = call i64 @bytes(i8* %s, i64 %v)
  %d.0 = icmp eq i64 %c.rows, 0
  %d.1 = icmp ne i64 %c.rows, %a.rows
  %d.2 = icmp ne i64 %c.bytes, %b.bytes
  %b.4 = shl i64 %b.rows, 2
  %d.3 = icmp ne i64 %a.bytes, %b.4
  %d.4 = icmp eq i64 %reg, %rm
  %d.5 = icmp eq i64 %reg, %v
  %d.6 = icmp eq i64 %rm, %v
  %d.01 = or i1 %d.0, %d.1
  %d.23 = or i1 %d.2, %d.3
  %d.45 = or i1 %d.4, %d.5
  %d.456 = or i1 %d.45, %d.6
  %d.0123 = or i1 %d.01, %d.23
  %d.bad = or i1 %d.0123, %d.456
  br i1 %d.bad, label %bad, label %dot.do
dot.do:
  %c.t = call i8* @tile(i8* %s, i64 %reg)
  %a.t = call i8* @tile(i8* %s, i64 %rm)
  %b.t = call i8* @tile(i8* %s, i64 %v)
  %is.bf = icmp eq i32 %op, 92
  br i1 %is.bf, label %dot.pairs, label %dot.fours
dot.pairs:
  call void @pairs(i8* %c.t, i8* %a.t, i8* %b.t, i64 %c.rows, i64 %b.rows)
  br label %end
dot.fours:
  %as = icmp uge i32 %pp, 2
  %bs.1 = and i32 %pp, 1
  %bs = icmp ne i32 %bs.1, 0
  call void @fours(i8* %c.t, i8* %a.t, i8* %b.t, i64 %c.rows, i64 %b.rows, i1 %as, i1 %bs)
  br label %end
bad:
  call void @fault(i8* %s)
  br label %end
end:
  %len = phi i64 [ %c.len, %config ], [ 5, %release ], [ 5, %zero.do ], [ %l.len, %store ], [ 5, %dot.pairs ], [ 5, %dot.fours ], [ 5, %bad ]
  %next = getelementptr i8, i8* %ip, i64 %len
  store i8* %next, i8** %ip.p
  ret void
unknown:
  call void @die()
  unreachable
}
