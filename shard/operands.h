#pragma once
// Which buffer stands at which place of an op's reads and writes. The builder writes by it, handlers read by it.
// Tokens may follow in both lists and are skipped.
//
//   kind               reads                                            writes
//   init               -                                                master, states [exported]; or, without a unit, constants, counters
//   read               -                                                master, states [exported] staging
//   step_values        -                                                values, sums, tokens, batch of each local microbatch
//   gather             slice                                            full (absent on a rank outside `to`)
//   release            exported                                         -
//   reduce             [gradient] [accumulator, when it adds]           accumulator [staging]
//   forward embedding  full, batch                                      out, workspace
//   forward block      full, x, batch, constants                        out, saved, workspace
//   recompute block    full, x, batch, constants                        saved, workspace [out]
//   backward block     full, d_out, x, saved, batch, constants          d_x, gradient, workspace
//   backward embedding d_out, batch                                     gradient, workspace
//   forward_backward   full, x, batch, constants, tokens, sums [tied]   d_x, gradient, sums, workspace [tied gradient]
//   forward head loss  full, x, batch, constants, sums [tied]           sums, workspace
//   forward head choose full, x, batch, constants, values [tied]        choice, workspace
//   round              f32 chain or group's sum                         gradient
//   accumulate         gradient or group's sum [sum, when it adds]      sum [workspace, when it rounds]
//   add_uses           accumulator, other use's accumulator             accumulator
//   square_sum         accumulator, sums                                sums
//   all_reduce         sums, or tokens                                  the same
//   verdict            sums, values, counters                          verdict, counters
//   check_finite       values..., finding                               finding
//   hash               gradient [hashes, but for the first]             hashes
//   send               hashes                                           -
//   receive            -                                                hashes
//   update             accumulator, verdict, master, states              master, states [exported]
