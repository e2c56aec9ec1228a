# SPDX-License-Identifier: AGPL-3.0-only
#
# Fails when an object of the core holds a writable variable. Objects in .data.rel.ro are constants
# with addresses in them: read-only once the program is loaded.
execute_process(COMMAND ${OBJDUMP} -t ${LIBRARY} OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
if(status)
    message(FATAL_ERROR "${OBJDUMP} -t ${LIBRARY} failed: ${status}")
endif()
string(REPLACE "\n" ";" lines "${symbols}")
set(found "")
foreach(line IN LISTS lines)
    if(line MATCHES "^([^ ]+):  *file format")
        set(object "${CMAKE_MATCH_1}")
    elseif(line MATCHES "^[0-9a-f]+ .....[^d]. (\\.[a-z.]+|\\*COM\\*)\t[0-9a-f]+ +(.*)$")
        set(section "${CMAKE_MATCH_1}")
        set(symbol "${CMAKE_MATCH_2}")
        if(section MATCHES "^(\\.data|\\.bss|\\.tdata|\\.tbss|\\*COM\\*)"
                AND NOT section MATCHES "^\\.data\\.rel\\.ro")
            string(APPEND found "\n  ${object}: ${symbol} in ${section}")
        endif()
    endif()
endforeach()
if(found)
    message(FATAL_ERROR "the core has writable globals; put them into an object that a caller owns:${found}")
endif()
