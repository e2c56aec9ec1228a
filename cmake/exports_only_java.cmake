# SPDX-License-Identifier: AGPL-3.0-only
#
# Fails when libubiblk.so offers a symbol that Java does not look up.
execute_process(COMMAND ${OBJDUMP} -T ${LIBRARY} OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
if(status)
    message(FATAL_ERROR "${OBJDUMP} -T ${LIBRARY} failed: ${status}")
endif()
string(REPLACE "\n" ";" lines "${symbols}")
set(found "")
foreach(line IN LISTS lines)
    if(line MATCHES "\\*UND\\*" OR NOT line MATCHES "^[0-9a-f]+ g .* ([^ ]+)$")
        continue()
    endif()
    set(symbol "${CMAKE_MATCH_1}") # the next match overwrites it
    if(NOT symbol MATCHES "^(JNI_|Java_)")
        string(APPEND found "\n  ${symbol}")
    endif()
endforeach()
if(found)
    message(FATAL_ERROR "exported beside JNI_* and Java_*:${found}")
endif()
