// Package parts parses JSON values without losing a byte, so that two values can be compared and merged by member and
// written again in their original layout.
//
// Strings are equal by their decoded text, numbers by their literal text (1 and 1.0 differ, and long ones keep all
// digits), objects regardless of member order. A value that is not JSON, or repeats a member, is one [Opaque] part.
package parts
