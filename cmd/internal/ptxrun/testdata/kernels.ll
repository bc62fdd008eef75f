; Kernels in LLVM IR, written for these tests. llc makes PTX of them.
target datalayout = "e-i64:64-i128:128-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

@buffer = internal addrspace(3) global [256 x i32] undef, align 4
@primes = internal addrspace(4) constant [8 x i16] [i16 2, i16 3, i16 5, i16 7, i16 11, i16 13, i16 17, i16 19], align 2
@counter = addrspace(1) global i64 5, align 8

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier0()
declare i32 @llvm.ctpop.i32(i32)
declare i64 @llvm.bitreverse.i64(i64)
declare i32 @llvm.fshl.i32(i32, i32, i32)
declare float @llvm.fma.f32(float, float, float)
declare double @llvm.sqrt.f64(double)
declare i16 @llvm.smax.i16(i16, i16)
declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32)

; Mixes bits of 32 and 64 bits, with a loop that threads leave at different times.
define void @bits(i32 addrspace(1)* %x, i64 addrspace(1)* %y, i32 %n) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %d = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %o = mul i32 %b, %d
  %i = add i32 %o, %t
  %in = icmp ult i32 %i, %n
  br i1 %in, label %work, label %end
work:
  %p = getelementptr i32, i32 addrspace(1)* %x, i32 %i
  %v = load i32, i32 addrspace(1)* %p
  br label %loop
loop:
  %k = phi i32 [ %v, %work ], [ %k3, %loop ]
  %s = phi i64 [ 1, %work ], [ %s3, %loop ]
  %k1 = lshr i32 %k, 1
  %rot = call i32 @llvm.fshl.i32(i32 %k, i32 %i, i32 7)
  %pop = call i32 @llvm.ctpop.i32(i32 %rot)
  %w = zext i32 %rot to i64
  %s1 = mul i64 %s, 6364136223846793005
  %s2 = add i64 %s1, %w
  %rev = call i64 @llvm.bitreverse.i64(i64 %s2)
  %s3 = xor i64 %rev, %s1
  %slot = and i32 %pop, 7
  %pp = getelementptr [8 x i16], [8 x i16] addrspace(4)* @primes, i32 0, i32 %slot
  %prime = load i16, i16 addrspace(4)* %pp
  %pm = call i16 @llvm.smax.i16(i16 %prime, i16 6)
  %pw = zext i16 %pm to i32
  %q = udiv i32 %k1, %pw
  %k3 = sub i32 %k1, %q
  %more = icmp ugt i32 %k3, 3
  br i1 %more, label %loop, label %done
done:
  %py = getelementptr i64, i64 addrspace(1)* %y, i32 %i
  store i64 %s3, i64 addrspace(1)* %py
  br label %end
end:
  ret void
}

; Reverses a block through shared memory and adds what a butterfly sums.
define void @reverse(i32 addrspace(1)* %x, i32 addrspace(1)* %y) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %d = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %p = getelementptr i32, i32 addrspace(1)* %x, i32 %t
  %v = load i32, i32 addrspace(1)* %p
  %s = getelementptr [256 x i32], [256 x i32] addrspace(3)* @buffer, i32 0, i32 %t
  store i32 %v, i32 addrspace(3)* %s
  call void @llvm.nvvm.barrier0()
  %last = sub i32 %d, 1
  %r = sub i32 %last, %t
  %f = getelementptr [256 x i32], [256 x i32] addrspace(3)* @buffer, i32 0, i32 %r
  %w = load i32, i32 addrspace(3)* %f
  %other = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %v, i32 1, i32 31)
  %sum = add i32 %w, %other
  %q = getelementptr i32, i32 addrspace(1)* %y, i32 %t
  store i32 %sum, i32 addrspace(1)* %q
  ret void
}

define internal double @hypotenuse(double %a, double* %b) noinline {
  %v = load double, double* %b
  %aa = fmul double %a, %a
  %bb = fmul double %v, %v
  %s = fadd double %aa, %bb
  %r = call double @llvm.sqrt.f64(double %s)
  store double %r, double* %b
  ret double %s
}

; A stack frame, a called function that writes to it, vectors, conversions and atomics.
define void @frame(<4 x float> addrspace(1)* %x, <2 x double> addrspace(1)* %y, i64 addrspace(1)* %total) {
  %place = alloca [4 x double], align 8
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %p = getelementptr <4 x float>, <4 x float> addrspace(1)* %x, i32 %t
  %v = load <4 x float>, <4 x float> addrspace(1)* %p, align 16
  %a = extractelement <4 x float> %v, i32 0
  %b = extractelement <4 x float> %v, i32 1
  %c = extractelement <4 x float> %v, i32 2
  %e = extractelement <4 x float> %v, i32 3
  %slot = and i32 %t, 3
  %cell = getelementptr [4 x double], [4 x double]* %place, i32 0, i32 %slot
  %f = call float @llvm.fma.f32(float %a, float %b, float %c)
  %fd = fpext float %f to double
  store double %fd, double* %cell
  %ed = fpext float %e to double
  %s = call double @hypotenuse(double %ed, double* %cell)
  %r = load double, double* %cell
  %w0 = insertelement <2 x double> undef, double %s, i32 0
  %w1 = insertelement <2 x double> %w0, double %r, i32 1
  %q = getelementptr <2 x double>, <2 x double> addrspace(1)* %y, i32 %t
  store <2 x double> %w1, <2 x double> addrspace(1)* %q, align 16
  %k = fptosi float %f to i64
  %old = atomicrmw add i64 addrspace(1)* %total, i64 %k seq_cst
  %old2 = atomicrmw max i64 addrspace(1)* @counter, i64 %k monotonic
  ret void
}

!nvvm.annotations = !{!0, !1, !2}
!0 = !{void (i32 addrspace(1)*, i64 addrspace(1)*, i32)* @bits, !"kernel", i32 1}
!1 = !{void (i32 addrspace(1)*, i32 addrspace(1)*)* @reverse, !"kernel", i32 1}
!2 = !{void (<4 x float> addrspace(1)*, <2 x double> addrspace(1)*, i64 addrspace(1)*)* @frame, !"kernel", i32 1}
