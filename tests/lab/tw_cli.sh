#!/bin/sh
# Stands in for 3ware's tw_cli, since no controller is here: what one with a broken disk prints. The unit's state lies in a file.
state=$(cat /root/unit-state)
case "$*" in
    show) cat <<'TEXT'

Ctl   Model        (V)Ports  Drives   Units   NotOpt  RRate   VRate  BBU
------------------------------------------------------------------------
c0    9650SE-2LP   2         2        1       1       1       1      -

TEXT
        ;;
    *unitstatus) cat <<TEXT

Unit  UnitType  Status         %RCmpl  %V/I/M  Stripe  Size(GB)  Cache  AVrfy
------------------------------------------------------------------------------
u0    RAID-1    $state       -       -       -       931.312   ON     ON

TEXT
        ;;
    *drivestatus) cat <<'TEXT'

VPort Status         Unit Size      Type  Phy Encl-Slot    Model
------------------------------------------------------------------------------
p0    OK             u0   931.51 GB SATA  0   -            WDC WD1003FBYX-01Y7
p1    OK             u0   931.51 GB SATA  1   -            WDC WD1003FBYX-01Y7

TEXT
        ;;
esac
