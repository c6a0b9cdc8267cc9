# Joins lines "ours NAME RATE GF/s" and "theirs NAME RATE GF/s": the best rate of each product and side, and their ratio.
# -v peer=NAME heads the peer's column; -v at_least=RATIO makes the exit code 1 where a ratio is lower, or there is none.
# Products keep the order of our first lines.
{ who = $1; rate = $(NF - 1); name = $2; for (i = 3; i < NF - 1; ++i) name = name " " $i
  if (!((who, name) in best) || rate > best[who, name]) best[who, name] = rate
  if (who == "ours" && !(name in seen)) { seen[name] = 1; order[++count] = name } }
END {
  printf "%-22s %8s %10s %6s\n", "product", "ours", peer, "ratio"
  for (i = 1; i <= count; ++i) { name = order[i]
    if (("theirs", name) in best) { ratio = best["ours", name] / best["theirs", name]
      printf "%-22s %8.1f %10.1f %6.3f\n", name, best["ours", name], best["theirs", name], ratio
      if (!lowest || ratio < lowest) lowest = ratio }
    else printf "%-22s %8.1f\n", name, best["ours", name] }
  printf "lowest ratio %.3f\n", lowest
  exit at_least != "" && lowest < at_least }
