;; A program is a text of calls. Each begins with a letter and takes as many of these as it needs:
;;
;;   digit    one character from `0` on: a handle (all that are given out, in order, from 0), a level, a kind
;;   number   two characters `ab`: a shifted left by b, so that `10` is 1, `1:` is 1024 and `/0` is -1
;;   text     a character from ` ` on for the length, then the text; `~`, a number and a number: any place, any length
;;
;;   o text               open                      e text digit text    emit to an output rows of a kind (0 JSON lines, 1 Arrow)
;;   l text               list                      g digit text text    log: level, context, message
;;   r digit num num      read: offset, length      m text num           count
;;   c digit num digit    chunks: size, compression M text num           observe
;;   n digit              next chunk                s num                block for so many nanoseconds
;;   a digit              all chunks, to the end    x digit              drop an object
;;   w digit              the next call 2^(digit mod 11) times
;;
;; Results of calls go where the next one's go. The program ends with "end", or with the failure of `a`.

(global $pc (mut i32) (i32.const 0))
(global $end (mut i32) (i32.const 0))
(global $begin (mut i32) (i32.const 0))
(global $times (mut i32) (i32.const 1))

(func $byte (result i32) (local $at i32)
  (local.set $at (global.get $pc))
  (if (i32.ge_u (local.get $at) (global.get $end)) (then (return (i32.const 48))))
  (global.set $pc (i32.add (local.get $at) (i32.const 1)))
  (i32.load8_u (local.get $at)))

(func $digit (result i32) (i32.sub (call $byte) (i32.const 48)))

(func $num (result i64)
  (i64.shl (i64.extend_i32_s (call $digit)) (i64.extend_i32_s (call $digit))))

(func $i32 (result i32) (i32.wrap_i64 (call $num)))

(func $words (result i32 i32) (local $at i32) (local $len i32)
  (local.set $len (i32.sub (call $byte) (i32.const 32)))
  (if (i32.eq (local.get $len) (i32.const 94)) (then (return (call $i32) (call $i32))))
  (local.set $at (global.get $pc))
  (if (i32.gt_u (local.get $len) (i32.sub (global.get $end) (local.get $at)))
    (then (local.set $len (i32.sub (global.get $end) (local.get $at)))))
  (global.set $pc (i32.add (local.get $at) (local.get $len)))
  (local.get $at) (local.get $len))

;; Handles are numbers from 1 on, and are given out again; a program counts from 0 and may name any.
(func $res (result i32) (i32.add (call $digit) (i32.const 1)))

(func $all (param $chunks i32) (result i32)
  (loop $more
    (call $free)
    (call $next (local.get $chunks) $out)
    (if (i32.load8_u $out) (then (return (call $refused))))
    (br_if $more (i32.load8_u (i32.const 68))))
  (i32.const 0))

;; Makes a call; what it leaves is a failure to end with, or 0.
(func $call (param $op i32) (result i32)
  (if (i32.eq (local.get $op) (i32.const 111)) (then (call $open (call $words) $out)))
  (if (i32.eq (local.get $op) (i32.const 108)) (then (call $list (call $words) $out)))
  (if (i32.eq (local.get $op) (i32.const 114)) (then (call $read (call $res) (call $num) (call $i32) $out)))
  (if (i32.eq (local.get $op) (i32.const 99)) (then (call $chunks (call $res) (call $i32) (call $digit) $out)))
  (if (i32.eq (local.get $op) (i32.const 110)) (then (call $next (call $res) $out)))
  (if (i32.eq (local.get $op) (i32.const 97)) (then (return (call $all (call $res)))))
  (if (i32.eq (local.get $op) (i32.const 120)) (then (call $drop-object (call $res))))
  (if (i32.eq (local.get $op) (i32.const 101)) (then (call $emit (call $words) (call $digit) (call $words) $out)))
  (if (i32.eq (local.get $op) (i32.const 103)) (then (call $log (call $digit) (call $words) (call $words))))
  (if (i32.eq (local.get $op) (i32.const 109)) (then (call $count (call $words) (call $num))))
  (if (i32.eq (local.get $op) (i32.const 77)) (then (call $observe (call $words) (f64.convert_i64_s (call $num)))))
  (if (i32.eq (local.get $op) (i32.const 115)) (then (call $block (call $subscribe (call $num)))))
  (i32.const 0))

(func $program (param $at i32) (param $len i32) (result i32) (local $op i32) (local $failed i32)
  ;; Out of the way of what calls leave behind.
  (if (i32.gt_u (local.get $len) (i32.const 16000)) (then (local.set $len (i32.const 16000))))
  (memory.copy (i32.const 49152) (local.get $at) (local.get $len))
  (global.set $pc (i32.const 49152))
  (global.set $end (i32.add (i32.const 49152) (local.get $len)))
  (block $done
    (loop $more
      (br_if $done (i32.ge_u (global.get $pc) (global.get $end)))
      (local.set $op (call $byte))
      (global.set $times (i32.const 1))
      (if (i32.eq (local.get $op) (i32.const 119)) (then
        (global.set $times (i32.shl (i32.const 1) (i32.rem_u (call $digit) (i32.const 11))))
        (local.set $op (call $byte))))
      (global.set $begin (global.get $pc))
      (loop $again
        (global.set $pc (global.get $begin))
        (call $free)
        (local.set $failed (call $call (local.get $op)))
        (if (local.get $failed) (then (return (local.get $failed))))
        (global.set $times (i32.sub (global.get $times) (i32.const 1)))
        (br_if $again (i32.gt_s (global.get $times) (i32.const 0))))
      (br $more)))
  (call $text «"end"»))
